/*
 * The servers of the client: coming up, and frames to each. Runs in rank 0's
 * only thread.
 */
#include "runtime/client_private.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long the servers may take to come. */
#define HELLO_TIMEOUT_NS (60 * MF_NS_PER_S)

/* How long it may be that nothing is heard of a server, nor of whoever answers for it. */
#define SERVER_SILENCE_NS (2 * MF_NS_PER_S)

/* --- frames --- */

struct mf_station *mf_station_find(struct mf_client *client, uint32_t rank)
{
    return rank < client->n_stations ? &client->stations[rank] : NULL;
}

struct mf_buffer *mf_station_frame(struct mf_client *client, struct mf_station *station, size_t n)
{
    /* One that is in the list already stays where it is. */
    if (mf_list_is_empty(&station->node))
        mf_list_push_back(&client->sending, &station->node);
    return mf_outbox_make_room(&station->outbox, n);
}

void mf_station_post(struct mf_client *client, struct mf_station *station,
                     const struct mf_record *record, const struct mf_buffer *body)
{
    mf_record_put(mf_station_frame(client, station, sizeof(*record) + body->size), record,
                  body->data, body->size);
}

/* One that was told to stop, if it hears that at all, is not told again. */
static void give_up(struct mf_client *client, struct mf_station *station, int error)
{
    if (station->state == MF_STATION_STOPPING)
        mf_station_lose(client, station, strerror(-error));
    else
        mf_station_dismiss(client, station, strerror(-error));
}

bool mf_stations_send(struct mf_client *client)
{
    struct mf_list *node, due;
    bool had_traffic = false;

    if (mf_list_is_empty(&client->sending))
        return false;
    /* Who is given up is in the list again, with a STOP that goes out the next time. */
    mf_list_take(&client->sending, &due);
    while ((node = mf_list_pop_front(&due))) {
        struct mf_station *station = mf_container_of(node, struct mf_station, node);
        int r = mf_outbox_turn(&station->outbox);

        had_traffic |= r > 0;
        if (r < 0)
            give_up(client, station, r);
        else if (!mf_outbox_is_empty(&station->outbox))
            mf_list_push_back(&client->sending, node);
    }
    return had_traffic;
}

/* --- coming up --- */

static void note_begin_error(struct mf_client *client, const struct mf_error *err)
{
    if (client->begin_error.text[0] == '\0')
        client->begin_error = *err;
}

int mf_station_on_hello(struct mf_client *client, struct mf_station *station,
                        struct mf_reader *body)
{
    const uint8_t *cores, *functions;
    size_t n_cores_bytes, n_functions_bytes;
    struct mf_error err;
    struct mf_life life;
    int r;

    /* One that comes too late has been told so. */
    bool is_late = station->state == MF_STATION_STOPPING && station->host[0] == '\0';

    if (station->state != MF_STATION_EXPECTED && !is_late)
        return -EPROTO;
    mf_reader_get_text(body, station->host, sizeof(station->host));
    cores = mf_reader_get_bytes(body, &n_cores_bytes);
    functions = mf_reader_get_bytes(body, &n_functions_bytes);
    mf_life_decode(body, &life);
    if (mf_reader_finish(body) < 0)
        return -EBADMSG;
    if (client->sentry)
        mf_sentry_meet(client->sentry, station->rank, &life);
    if (client->sentry)
        mf_sentry_expect(client->sentry, station->rank);
    if (is_late)
        return 0;
    r = mf_node_decode_cores(cores, n_cores_bytes, &station->cores, &station->n_cores);
    if (r < 0)
        return r;
    station->state = MF_STATION_HELLO;
    r = mf_functions_compare(client->config.functions, functions, n_functions_bytes, station->rank,
                             &err);
    if (r == -EPROTO)
        note_begin_error(client, &err);
    return r == -EPROTO ? 0 : r;
}

static int bring_up(struct mf_client *client, struct mf_station *station,
                    struct mf_topo_rank *share, const struct mf_topo_split *split,
                    struct mf_sharing sharing, bool pin)
{
    const struct mf_record record = {.kind = MF_RECORD_WELCOME};
    struct mf_buffer welcome = {0};
    struct mf_event event = {.kind = MF_EVENT_WORKER_UP, .worker = station->rank};
    int r;

    if (!client->config.is_isolated && share->n_slots > 1)
        share->n_slots = 1;
    mf_buffer_put_u32(&welcome, sharing.n_ranks);
    mf_buffer_put_u32(&welcome, sharing.n_cores);
    mf_node_encode_welcome("", share, split, pin, false, &welcome);
    r = mf_buffer_status(&welcome);
    if (r == 0)
        mf_station_post(client, station, &record, &welcome);
    mf_buffer_finish(&welcome);
    if (r < 0)
        return r;
    station->state = MF_STATION_UP;
    station->n_slots = event.has.n_slots = share->n_slots;
    client->n_slots += share->n_slots;
    return mf_client_apply(client, &event);
}

/* Slots of a node with that many servers; a function in a rank has the rank's one. */
static struct mf_jobs jobs_of_node(const struct mf_client *client, uint32_t n_ranks)
{
    if (!client->config.is_isolated)
        return (struct mf_jobs){.kind = MF_JOBS_COUNT, .value = n_ranks};
    if (client->config.n_executors > 0)
        return (struct mf_jobs){.kind = MF_JOBS_COUNT,
                                .value = n_ranks * client->config.n_executors};
    return (struct mf_jobs){.kind = MF_JOBS_PERCENT, .value = 100};
}

static bool has_cpu(const struct mf_core *cores, uint32_t n_cores, uint32_t cpu)
{
    for (uint32_t i = 0; i < n_cores; i++)
        for (uint32_t k = 0; k < cores[i].n_cpus; k++)
            if (cores[i].cpus[k] == cpu)
                return true;
    return false;
}

/* What the servers of a node have among them; where rank 0 is, it and its cores too. */
static struct mf_sharing count_sharing(struct mf_client *client, const char *host,
                                       const struct mf_topo_split *split, uint32_t n_servers)
{
    struct mf_sharing sharing = {.n_ranks = n_servers, .n_cores = split->n_pool};
    const struct mf_client_config *config = &client->config;

    if (strcmp(host, client->host) != 0)
        return sharing;
    sharing.n_ranks++;
    for (uint32_t i = 0; i < config->n_cores; i++)
        sharing.n_cores += !has_cpu(split->pool, split->n_pool, config->cores[i].cpus[0]);
    client->sharing = sharing;
    return sharing;
}

/* Splits the node of `first` among the servers that are on it. */
static int share_node(struct mf_client *client, uint32_t first, struct mf_topo_rank *ranks,
                      struct mf_station **stations)
{
    struct mf_topo_split split = {0};
    struct mf_sharing sharing;
    struct mf_jobs jobs;
    uint32_t n_ranks = 0, n_slots = 0;
    int r;

    for (uint32_t i = first; i < client->n_stations; i++) {
        struct mf_station *station = &client->stations[i];

        if (station->state != MF_STATION_HELLO ||
            strcmp(station->host, client->stations[first].host) != 0)
            continue;
        ranks[n_ranks] = (struct mf_topo_rank){
            .is_worker = true, .cores = station->cores, .n_cores = station->n_cores};
        stations[n_ranks++] = station;
    }
    jobs = jobs_of_node(client, n_ranks);
    r = mf_topo_share(ranks, n_ranks, &jobs, &split);
    sharing = count_sharing(client, client->stations[first].host, &split, n_ranks);
    for (uint32_t i = 0; i < n_ranks && r == 0; i++)
        n_slots += ranks[i].n_slots;
    /* Ranks were bound by who launched them; more slots than cores are left to the kernel. */
    for (uint32_t i = 0; i < n_ranks && r == 0; i++)
        r = bring_up(client, stations[i], &ranks[i], &split, sharing,
                     client->config.is_isolated && n_slots <= split.n_pool);
    mf_topo_split_finish(&split);
    return r;
}

static int share_nodes(struct mf_client *client)
{
    struct mf_topo_rank *ranks = calloc(client->n_stations, sizeof(*ranks));
    struct mf_station **stations = calloc(client->n_stations, sizeof(struct mf_station *));
    int r = ranks && stations ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < client->n_stations && r == 0; i++)
        if (client->stations[i].state == MF_STATION_HELLO)
            r = share_node(client, i, ranks, stations);
    free(ranks);
    free(stations);
    return r;
}

static int describe_absent(const struct mf_client *client, struct mf_error *err)
{
    for (uint32_t i = 0; i < client->n_stations; i++)
        if (client->stations[i].state == MF_STATION_EXPECTED)
            return mf_error_set(err, -ETIMEDOUT,
                                "rank %" PRIu32 " did not call mpifarm_start() within %d s", i,
                                (int)(HELLO_TIMEOUT_NS / MF_NS_PER_S));
    return 0;
}

static bool is_anybody_expected(const struct mf_client *client)
{
    for (uint32_t i = 0; i < client->n_stations; i++)
        if (client->stations[i].state == MF_STATION_EXPECTED)
            return true;
    return false;
}

int mf_client_is_ready(struct mf_client *client, int64_t now_ns, struct mf_error *err)
{
    int r;

    if (client->is_begun)
        return 1;
    if (is_anybody_expected(client)) {
        if (now_ns < client->created_ns + HELLO_TIMEOUT_NS)
            return 0;
        return describe_absent(client, err);
    }
    if (client->begin_error.text[0]) {
        *err = client->begin_error;
        return -EPROTO;
    }
    client->is_begun = true;
    r = share_nodes(client);
    if (r < 0)
        return mf_error_set(err, r, "cannot share the cores among the ranks: %s", strerror(-r));
    mf_stations_send(client);
    return 1;
}

void mf_station_refuse_to_begin(struct mf_client *client, const struct mf_station *station,
                                const char *why)
{
    struct mf_error err;

    if (client->is_begun)
        return;
    mf_error_set(&err, -EPROTO, "rank %" PRIu32 " cannot take part: %s", station->rank, why);
    note_begin_error(client, &err);
}

/* --- words to all, without a client --- */

void mf_stop_put(struct mf_buffer *frame, int code, const char *why, bool has_losses)
{
    const struct mf_record stop = {
        .kind = MF_RECORD_STOP, .number = has_losses, .unit = (uint64_t)-code};
    const struct mf_record end = {.kind = MF_RECORD_END, .number = has_losses};
    struct mf_buffer body = {0};

    mf_buffer_put_text(&body, why);
    mf_record_put(frame, &stop, body.data, body.size);
    if (code < 0)
        mf_record_put(frame, &end, NULL, 0);
    mf_buffer_finish(&body);
}

/* The same frame to all other ranks. Returns 0 or the first error. */
static int tell_all(struct mf_transport *remote, const struct mf_buffer *frame)
{
    int result = 0;

    for (uint32_t to = 1; to < remote->size; to++) {
        struct mf_buffer copy = {0};
        int r;

        mf_buffer_append(&copy, frame->data, frame->size);
        r = frame->has_failed ? -ENOMEM : mf_transport_send(remote, to, &copy);
        if (r < 0 && result == 0)
            result = r;
        mf_buffer_finish(&copy);
    }
    return result;
}

int mf_client_announce(struct mf_transport *remote, const struct mf_life *life)
{
    const struct mf_record record = {.kind = MF_RECORD_LIFE};
    struct mf_buffer body = {0}, frame = {0};
    int r;

    mf_life_encode(life, &body);
    mf_record_put(&frame, &record, body.data, body.size);
    r = tell_all(remote, &frame);
    mf_buffer_finish(&body);
    mf_buffer_finish(&frame);
    return r;
}

void mf_client_dismiss_all(struct mf_transport *remote, int code, const char *why,
                           const struct mf_log *log)
{
    struct mf_buffer frame = {0};
    int r;

    mf_stop_put(&frame, code, why, false);
    r = tell_all(remote, &frame);
    if (r < 0)
        mf_log_error(log, "the other ranks cannot be told to stop: %s", strerror(-r));
    mf_buffer_finish(&frame);
}

/* --- life --- */

/* Without other ranks the server in this process is number 0; else rank 0 has none. */
int mf_stations_create(struct mf_client *client)
{
    bool is_local = !client->config.remote;

    client->n_stations = is_local ? 1 : client->config.remote->size;
    client->stations = calloc(client->n_stations, sizeof(*client->stations));
    if (!client->stations)
        return -ENOMEM;
    for (uint32_t i = 0; i < client->n_stations; i++)
        mf_list_init(&client->stations[i].node);
    if (!is_local) {
        int r = mf_sentry_create(NULL, client->n_stations, SERVER_SILENCE_NS, MF_SENTRY_ANSWERING,
                                 &client->sentry);

        if (r < 0)
            return r;
    }
    for (uint32_t i = 0; i < client->n_stations; i++) {
        struct mf_station *station = &client->stations[i];
        int r;

        station->rank = i;
        mf_outbox_init(&station->outbox, is_local ? client->config.local : client->config.remote,
                       i);
        if (i == 0 && !is_local) {
            station->state = MF_STATION_GONE;
            continue;
        }
        r = mf_inbox_create(&station->inbox);
        if (r < 0)
            return r;
    }
    return 0;
}

void mf_stations_destroy(struct mf_client *client)
{
    for (uint32_t i = 0; client->stations && i < client->n_stations; i++) {
        if (!client->stations[i].outbox.transport)
            continue;
        mf_outbox_finish(&client->stations[i].outbox);
        mf_inbox_destroy(client->stations[i].inbox);
        free(client->stations[i].cores);
    }
    free(client->stations);
    mf_sentry_destroy(client->sentry);
}
