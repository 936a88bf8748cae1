/* The workers in an order, with what they have free: see room.h. Owned by the set of workers. */
#include "core/room.h"
#include "core/placement.h"

#include <stddef.h>

/* In the tree the higher one stands above: the same for a worker at all times, and as good as by
 * lot. The steps are those of SplitMix64 (Steele, Lea and Flood 2014). */
static uint64_t rank_of(const struct mf_worker *worker)
{
    uint64_t x = ((uint64_t)worker->id + 1) * UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static void raise_to(struct mf_room_node *most, const struct mf_worker *below)
{
    if (!below)
        return;
    if (below->room.n_slots > most->n_slots)
        most->n_slots = below->room.n_slots;
    if (below->room.n_slots_for_suspect > most->n_slots_for_suspect)
        most->n_slots_for_suspect = below->room.n_slots_for_suspect;
    if (below->room.n_gpus > most->n_gpus)
        most->n_gpus = below->room.n_gpus;
    if (below->room.mem_bytes > most->mem_bytes)
        most->mem_bytes = below->room.mem_bytes;
}

static struct mf_room_node most_of(const struct mf_worker *worker)
{
    uint32_t n_free =
        worker->n_committed < worker->n_slots ? worker->n_slots - worker->n_committed : 0;
    struct mf_room_node most = {
        .left = worker->room.left,
        .right = worker->room.right,
        .n_slots = n_free,
        .n_slots_for_suspect = worker->has_suspect ? 0 : n_free,
        .n_gpus = worker->n_free_gpus,
        .mem_bytes = worker->free_mem_bytes,
    };

    raise_to(&most, worker->room.left);
    raise_to(&most, worker->room.right);
    return most;
}

/* Those of a tree that come before a worker, and those that come after it. */
static void split(const struct mf_room *room, struct mf_worker *tree, const struct mf_worker *at,
                  struct mf_worker **ret_left, struct mf_worker **ret_right)
{
    if (!tree) {
        *ret_left = *ret_right = NULL;
        return;
    }
    if (room->before(tree, at)) {
        split(room, tree->room.right, at, &tree->room.right, ret_right);
        *ret_left = tree;
    } else {
        split(room, tree->room.left, at, ret_left, &tree->room.left);
        *ret_right = tree;
    }
    tree->room = most_of(tree);
}

/* One tree of two, all of the first before all of the second. */
static struct mf_worker *join(struct mf_worker *left, struct mf_worker *right)
{
    struct mf_worker *top;

    if (!left || !right)
        return left ? left : right;
    if (rank_of(left) > rank_of(right)) {
        top = left;
        left->room.right = join(left->room.right, right);
    } else {
        top = right;
        right->room.left = join(left, right->room.left);
    }
    top->room = most_of(top);
    return top;
}

static struct mf_worker *insert(const struct mf_room *room, struct mf_worker *tree,
                                struct mf_worker *worker)
{
    if (!tree || rank_of(worker) > rank_of(tree)) {
        split(room, tree, worker, &worker->room.left, &worker->room.right);
        tree = worker;
    } else if (room->before(worker, tree)) {
        tree->room.left = insert(room, tree->room.left, worker);
    } else {
        tree->room.right = insert(room, tree->room.right, worker);
    }
    tree->room = most_of(tree);
    return tree;
}

static struct mf_worker *take_out(const struct mf_room *room, struct mf_worker *tree,
                                  const struct mf_worker *worker)
{
    if (tree == worker)
        return join(tree->room.left, tree->room.right);
    if (room->before(worker, tree))
        tree->room.left = take_out(room, tree->room.left, worker);
    else
        tree->room.right = take_out(room, tree->room.right, worker);
    tree->room = most_of(tree);
    return tree;
}

void mf_room_insert(struct mf_room *room, struct mf_worker *worker)
{
    room->root = insert(room, room->root, worker);
}

void mf_room_remove(struct mf_room *room, struct mf_worker *worker)
{
    room->root = take_out(room, room->root, worker);
}

static struct mf_worker *find(struct mf_worker *tree, const struct mf_choice *choice,
                              uint64_t *n_looked_at)
{
    const struct mf_needs *needs = &choice->task->spec.needs;
    struct mf_worker *found;

    if (!tree || tree->room.n_slots < needs->n_slots ||
        (needs->is_suspect && tree->room.n_slots_for_suspect < needs->n_slots) ||
        tree->room.n_gpus < needs->n_gpus || tree->room.mem_bytes < needs->mem_bytes)
        return NULL;
    ++*n_looked_at;
    found = find(tree->room.left, choice, n_looked_at);
    if (!found && mf_choice_fits(choice, tree))
        found = tree;
    return found ? found : find(tree->room.right, choice, n_looked_at);
}

struct mf_worker *mf_room_first(const struct mf_room *room, const struct mf_choice *choice,
                                uint64_t *n_looked_at)
{
    uint64_t n = 0;

    return find(room->root, choice, n_looked_at ? n_looked_at : &n);
}

static int64_t check(const struct mf_room *room, const struct mf_worker *tree)
{
    int64_t n_left, n_right;
    struct mf_room_node most;

    if (!tree)
        return 0;
    most = most_of(tree);
    if (most.n_slots != tree->room.n_slots ||
        most.n_slots_for_suspect != tree->room.n_slots_for_suspect ||
        most.n_gpus != tree->room.n_gpus || most.mem_bytes != tree->room.mem_bytes)
        return -1;
    if ((most.left && !room->before(most.left, tree)) ||
        (most.right && !room->before(tree, most.right)))
        return -1;
    n_left = check(room, most.left);
    n_right = check(room, most.right);
    return n_left < 0 || n_right < 0 ? -1 : n_left + 1 + n_right;
}

int64_t mf_room_check(const struct mf_room *room)
{
    return check(room, room->root);
}
