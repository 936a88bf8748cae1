/*
 * The host caller from inside: the rank's side of executor processes.
 *
 *     host_caller.c    life and turns
 *     host_queue.c     which unit goes to which seat
 *     host_nursery.c   what is said to the nursery
 *     host_yield.c     calls that yield, and the processes that take their places
 *     host_notices.c   what executors have to know of blocks
 *     host_unit.c      a unit: its calls, and what of them is where
 *     seat.c           a slot with its process: portions and blocks go out
 *     seat_entries.c   what comes back becomes events
 *     seat_time.c      time limits, cancelled calls, processes that stand still
 *     seat_memory.c    processes that have got too much memory
 *     seat_end.c       deaths and replacements
 *
 * A unit waits in the queue, then belongs to one seat. There it is cut into
 * portions (host.h), as many as are useful at a time; what has not begun can be
 * taken back. It is kept whole until its last call was reported, so that a
 * replacement can go on where its predecessor died.
 *
 * A call that yields stays in its process, which sleeps and has no slot until the call goes on. A
 * spare process takes the slot: only when there is one is a call asked to yield.
 */
#ifndef MF_EXEC_HOST_CALLER_PARTS_H
#define MF_EXEC_HOST_CALLER_PARTS_H

#include "base/list.h"
#include "exec/caller.h"
#include "exec/channel.h"
#include "exec/host.h"
#include "exec/memory.h"

#include <stdbool.h>
#include <stdint.h>

/* --- units --- */

/** The large input of a call; data is NULL when there is no memory for it, or it was used. */
struct mf_host_large {
    uint32_t index;
    uint8_t *data;
    size_t size;
};

/**
 * A unit that has not been reported whole.
 *
 * @node        in the queue, or in the units of a seat
 * @slot        the slot it has to run on, from 1; 0 for any
 * @n_sent, @sent_bytes           calls of which portions were made, and their bytes
 * @n_reported, @reported_bytes   calls reported, and at least their whole portions' bytes
 * @larges      n_larges, in order
 * @stretch     if is_stretch, the first of its calls, which are all one stretch
 * @unwanted    a bit for each call that was cancelled; NULL for none
 * @are_unwanted   all of them were
 * @is_recalled   no further portion is made
 * @should_yield its call is to yield, or has
 * @is_sending  its bytes are being written; it is freed after that if is_over
 */
struct mf_host_unit {
    struct mf_list node;
    uint64_t unit;
    uint32_t attempt;
    uint32_t slot;
    uint32_t n_calls;
    uint32_t n_sent, n_reported;
    size_t sent_bytes, reported_bytes;
    struct mf_host_large *larges;
    uint32_t n_larges;
    uint64_t *unwanted;
    bool are_unwanted;
    struct mf_call stretch;
    bool is_stretch;
    bool is_recalled;
    bool should_yield;
    bool is_sending;
    bool is_over;
    size_t size;
    uint8_t calls[];
};

/**
 * Calls of a unit that go together.
 *
 * @first, @offset   where they begin in the unit: of a part of a stretch, its first input
 * @n_calls, @bytes  how many they are
 * @unwanted         bits of those cancelled
 * @large            the input of the only call, or NULL
 * @has_limit        some have a time limit
 */
struct mf_host_cut {
    uint32_t first, n_calls;
    size_t offset, bytes;
    uint64_t unwanted;
    struct mf_host_large *large;
    bool has_limit;
};

/**
 * Copies a unit, and takes its large inputs. Returns 0, -EBADMSG for calls that cannot be, -EPROTO
 * for an input of another size, -ENOENT for one that is not there, or -ENOMEM.
 */
int mf_host_unit_create(const struct mf_caller_unit *unit, const struct mf_caller_config *config,
                        uint32_t n_functions, struct mf_host_unit **ret_unit);

/** Frees a unit that is in no list, now or when its bytes were written. */
void mf_host_unit_end(struct mf_host_unit *unit);

/** Marks a call, or MF_EVERY_CALL. Returns 0, -EINVAL when there is none, or -ENOMEM. */
int mf_host_unit_cancel(struct mf_host_unit *unit, uint32_t index);

/** What the next portion of a unit would be; some calls are not sent. */
void mf_host_unit_cut(struct mf_host_unit *unit, struct mf_host_cut *ret_cut);

/** Call `index` of those of a cut; returns the bytes of the unit up to it. */
size_t mf_host_unit_look(const struct mf_host_unit *unit, const struct mf_host_cut *cut,
                         uint32_t index, struct mf_call *ret_call);

/* --- seats --- */

/**
 * A portion on its way.
 *
 * @unit        NULL when it was revoked
 * @n_reported  of its calls
 * @is_stopping it was asked to begin no further call
 */
struct mf_seat_portion {
    struct mf_host_unit *unit;
    struct mf_host_cut cut;
    uint32_t n_reported;
    int64_t told_ns;
    bool is_stopping;
};

/** A large result or checkpoint that is_there: `left` bytes of it have not come; data NULL without
 * memory. */
struct mf_seat_large {
    uint8_t *data;
    size_t size, left;
    bool is_there, is_checkpoint;
};

/** What is written before bytes that are elsewhere. */
struct mf_seat_head {
    struct mf_host_record record;
    uint8_t stretch[MF_STRETCH_HEAD_BYTES];
};

/**
 * The call that is looked at since it may have to be ended.
 *
 * @number     as n_begun counts
 * @portion    its portion, and which of the calls of that it is
 * @limit_ns   when its time and the grace are over
 * @unwanted_ns   when it has to have stopped after it was cancelled
 */
struct mf_seat_watch {
    uint64_t number;
    uint64_t portion;
    uint32_t index;
    int64_t limit_ns;
    int64_t timeout_ns;
    int64_t unwanted_ns;
};

/**
 * What the process has got since its birth, as far as there is a limit.
 *
 * @used_bytes, @trend   at the last look, for how long the next one can wait
 * @look_ns     not before this; 0 before the first
 * @n_ended     calls that it had ended then
 * @asked_ns    when it was asked to leave
 */
struct mf_seat_memory {
    uint64_t used_bytes;
    struct mf_memory_trend trend;
    int64_t look_ns;
    uint64_t n_ended;
    int64_t asked_ns;
};

/**
 * A process, and the slot that it serves.
 *
 * @index          its place among the seats
 * @slot           from 1; 0 for none: it is a spare, or its call has yielded
 * @pinned_to      the slot whose processors it has, from 1
 * @is_asked       the call that runs is to yield, and a spare is kept for its slot
 * @has_yielded    it has
 * @yielded_ns     since when, as far as that was not added to the time that it may take; 0 for not
 * @life, @pid     of the process; pid is 0 until the nursery has told
 * @is_alive       a process was asked for, and its end not settled
 * @has_died       status is how it ended; if is_unborn, the errno of its fork
 * @is_damaged     what it shares cannot be believed, or not be read: lacks_memory
 * @is_killed      the nursery was asked to kill it
 * @is_ready       it has run its init hook
 * @is_leaving     it was asked to leave, and gets no further unit
 * @n_futile       processes in a row that ended without beginning a call
 * @n_starved      of these, how many had been given one
 * @refused_since_ns, @pause_ns, @retry_ns   since when there is no process to be had, how long to
 *                 wait in between, and when to try again; 0 for not
 * @units          it is to run, in order; n_outstanding calls of them are not reported
 * @portions       from first_portion up to before next_portion, in portions[number % ...]
 * @head, @head_left, @body, @body_left   being written: a record and, of a part of a stretch, what
 *                 comes before its inputs
 * @sending        unit that body belongs to, or NULL
 * @input_of       unit whose next portion's large input was sent, or NULL
 * @n_notices      of the caller's notices sent
 * @text           body of the notice being written
 * @in             bytes of entries not handled; in_done of them are children of the next call
 * @large          result, or what was saved, of the call whose entry comes next
 * @n_ended        calls reported in this life
 * @is_watched     some call on its way may have to be ended
 * @doomed, @doomed_ns   the call for which it is about to be killed, and since when; 0 for none
 * @doom           why: a cause
 * @progress, @still_ns, @looked_ns   what it had done at the last look, and since when it has not
 *                 done anything, as far as it should have
 * @memory         see above
 * @wake_ns        when it wants to be looked at
 */
struct mf_seat {
    struct mf_host_caller *caller;
    uint32_t index;
    uint32_t slot, pinned_to;
    bool is_asked, has_yielded;
    int64_t yielded_ns;
    uint32_t life;
    pid_t pid;
    bool is_alive, has_died, is_unborn, is_damaged, lacks_memory, is_killed, is_ready, is_leaving;
    int status;
    uint32_t n_futile, n_starved;
    int64_t refused_since_ns, pause_ns, retry_ns;
    struct mf_host host;

    struct mf_list units;
    uint64_t n_outstanding;
    struct mf_seat_portion portions[MF_HOST_PORTIONS];
    uint64_t first_portion, next_portion;

    struct mf_seat_head head;
    size_t head_size, head_left;
    const uint8_t *body;
    size_t body_left;
    struct mf_host_unit *sending;
    struct mf_host_unit *input_of;
    uint32_t n_notices;
    struct mf_buffer text;

    struct mf_buffer in;
    size_t in_done;
    struct mf_seat_large large;
    uint64_t n_ended;

    bool is_watched;
    struct mf_seat_watch watch;
    uint64_t doomed;
    int64_t doomed_ns;
    enum mpifarm_cause doom;
    uint64_t progress;
    int64_t still_ns, looked_ns;
    struct mf_seat_memory memory;
    int64_t wake_ns;
};

/** A seat without a process, whose processors are to be those of a slot (from 1); NULL without
 * memory. */
struct mf_seat *mf_seat_create(struct mf_host_caller *caller, uint32_t index, uint32_t pinned_to);

/** Forgets what it has, and frees it. */
void mf_seat_destroy(struct mf_seat *seat);

/** Lets go of what belongs to its process, which has ended. */
void mf_seat_finish_life(struct mf_seat *seat);

/** Whether the process can be given calls. */
bool mf_seat_is_ready(struct mf_seat *seat);

/** Whether its finish hook runs. */
bool mf_seat_is_finishing(struct mf_seat *seat);

/** Asks the nursery for a process. Returns 0 or -errno. */
int mf_seat_give_birth(struct mf_seat *seat);

/** Writes what there is room for. Returns whether that was anything. */
bool mf_seat_send(struct mf_seat *seat);

/** Takes back what has not begun of a unit of this seat. */
void mf_seat_revoke(struct mf_seat *seat, struct mf_host_unit *unit);

/** Takes back what has not begun, and stops the rest; RETURNED is told now or later. */
void mf_seat_recall(struct mf_seat *seat, struct mf_host_unit *unit);

/** Tells the process that a call, or MF_EVERY_CALL, is not wanted. */
void mf_seat_cancel(struct mf_seat *seat, const struct mf_host_unit *unit, uint32_t index);

/** Lets the call, which has yielded, go on; in no slot, unless it was given one. */
void mf_seat_go_on(struct mf_seat *seat);

/** The call, which was asked to, has yielded. Returns whether it stays so: a spare process has its
 * slot. */
bool mf_seat_note_yielded(struct mf_seat *seat);

/** The oldest portion on its way, or NULL. */
struct mf_seat_portion *mf_seat_front(struct mf_seat *seat);

/** Forgets the oldest portion. */
void mf_seat_pop(struct mf_seat *seat);

/** Tells of all entries that are there now. Returns whether there were bytes. */
bool mf_seat_take_entries(struct mf_seat *seat);

/** Tells an entry of the next call of the oldest portion, whose process has not told it. */
void mf_seat_tell_entry(struct mf_seat *seat, enum mpifarm_cause cause, int code,
                        const char *message);

/** Tells RETURNED, and ends the unit. */
void mf_seat_tell_returned(struct mf_seat *seat, struct mf_host_unit *unit);

/** Whether the process, which is alive, is in a call, as far as what it shares can be believed. */
bool mf_seat_is_in_call(struct mf_seat *seat);

/** The same, and how many calls it has begun. What cannot be is damage. */
bool mf_seat_runs_call(struct mf_seat *seat, uint64_t *ret_n_begun);

/** Asks the nursery to kill the process. */
void mf_seat_kill(struct mf_seat *seat);

/**
 * Ends calls that are over their time, and processes that do nothing though there is something to
 * do; sets wake_ns. What the process has sent need not have been taken.
 */
void mf_seat_keep_time(struct mf_seat *seat, int64_t now_ns);

/** Dooms the call that was begun last, for a cause: it is killed if it does not end at once. */
void mf_seat_doom(struct mf_seat *seat, uint64_t n_begun, enum mpifarm_cause cause, int64_t now_ns);

/** Ends a process that works and is over the limit of memory, and a call that goes on in it; looks
 * now and then, and brings wake_ns forward. */
void mf_seat_keep_memory(struct mf_seat *seat, int64_t now_ns);

/** Whether to wait, until retry_ns, before another process is asked for in place of a dead one. */
bool mf_seat_pauses(struct mf_seat *seat, int64_t now_ns);

/** Settles a death: tells what it did, and lets another process go on if it has a slot. 0, or
 * -errno with a sentence when there is none. */
int mf_seat_bury(struct mf_seat *seat, int64_t now_ns, struct mf_error *err);

/** Writes how the process ended. */
void mf_seat_describe_end(const struct mf_seat *seat, char *text, size_t size);

/* --- the caller --- */

/**
 * A block came, or went if it is not there, in the order of these.
 *
 * @place  in this process; its descriptor is owned, and closed if is_closed
 */
struct mf_host_notice {
    mpifarm_block block;
    bool is_there, is_closed;
    struct mf_block_place place;
    size_t size;
};

/** A slot: its n_cpus processors, owned, and the seat that serves it. */
struct mf_host_slot {
    uint32_t n_cpus, *cpus;
    struct mf_seat *seat;
};

/**
 * @loop, @watch, @bell_watch   where the rank waits
 * @bell_fd     eventfd that all executors ring
 * @slots       n_slots
 * @seats       n_seats: those of the slots, and spare ones
 * @queue       units that no seat has
 * @spare_ns    not before this is another spare process asked for
 * @notices     all a new process has to know of blocks, n_notices
 * @call_ns     how long calls take, roughly
 * @hook_limit_ns   how long the init hook of a replacement may take
 * @listened_ns   when the nursery was listened to last
 * @rest_until_ns   when the memory of executors may be looked at again
 * @channel_error   why the nursery cannot be talked to, or 0
 * @is_broken   nothing runs any more
 * @is_turning  inside of turn(), where seats must stay
 * @is_to_stop  stop() was called there: nothing more is given out
 */
struct mf_host_caller {
    struct mf_caller base;
    struct mf_caller_config config;
    struct mf_nursery nursery;
    struct mf_channel channel;
    struct mf_loop *loop;
    struct mf_watch *watch, *bell_watch;
    int bell_fd;
    const struct mf_functions *functions;
    struct mf_host_slot *slots;
    uint32_t n_slots;
    struct mf_seat **seats;
    uint32_t n_seats;
    struct mf_list queue;
    int64_t spare_ns;
    struct mf_host_notice *notices;
    uint32_t n_notices, notices_capacity;
    int64_t call_ns;
    int64_t hook_limit_ns;
    int64_t listened_ns;
    int64_t rest_until_ns;
    int channel_error;
    bool is_broken;
    bool is_turning;
    bool is_to_stop;
    bool is_stopped;
};

/** A unit, and its seat or NULL when it waits; NULL when there is none. O(units). */
struct mf_host_unit *mf_host_caller_find(struct mf_host_caller *caller, uint64_t number,
                                         uint32_t attempt, struct mf_seat **ret_seat);

/** Gives units to seats, and lets all seats send. Returns whether anything went out. */
bool mf_host_caller_hand_out(struct mf_host_caller *caller);

/** Adds a seat, whose processors are those of a slot (from 1). Returns NULL without memory. */
struct mf_seat *mf_host_caller_add_seat(struct mf_host_caller *caller, uint32_t pinned_to);

/** Asks calls to yield that are to, as far as there are spare processes; sees to these. Returns
 * whether anything was asked. */
bool mf_host_caller_ask_to_yield(struct mf_host_caller *caller, int64_t now_ns);

/** The process of a seat without a slot has ended; is_futile: before it was of use. */
void mf_host_caller_lose_spare(struct mf_seat *seat, bool was_futile, int64_t now_ns);

/** As mf_caller_ops has it. */
void mf_host_caller_go_on(struct mf_host_caller *caller, uint64_t number, uint32_t attempt,
                          uint32_t slot);

/** Tells the nursery hooks and functions. */
void mf_host_caller_send_registry(struct mf_host_caller *caller, uint32_t rank);

/** Takes in what the nursery told. */
void mf_host_caller_listen(struct mf_host_caller *caller);

/** Sends what there is to say to it. */
void mf_host_caller_talk(struct mf_host_caller *caller);

/** For the loop; arg is the caller. */
void mf_host_caller_on_channel(void *arg, uint32_t events);

/** Leaves the nursery, which ends it and all executors. Returns its status as of wait(), or -1. */
int mf_host_caller_close_nursery(struct mf_host_caller *caller);

/** Kills what executors have started, when the nursery was killed and could not. */
void mf_host_caller_kill_left(struct mf_host_caller *caller);

/** Adds a notice; the descriptor of its place is taken if 0 is returned, which is -errno else. */
int mf_host_caller_add_notice(struct mf_host_caller *caller, const struct mf_host_notice *notice);

/** Lets executors open a block no longer, or, with 0, none. */
void mf_host_caller_close_blocks(struct mf_host_caller *caller, mpifarm_block block);

#endif
