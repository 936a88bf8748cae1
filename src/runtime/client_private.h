/*
 * The client's state, shared by the files it is made of:
 *
 *     client.c         life, the turn
 *     client_peers.c   the servers: HELLO, shares of nodes
 *     client_leaving.c the servers: told to stop, lost, waited for
 *     client_units.c   tasks into units, and units to servers
 *     client_sent.c    what happens to units afterwards: splitting, losing, dissolving
 *     client_results.c what servers report
 *     client_stretches.c units of elements of a range
 *     client_blocks.c  blocks of bytes for all
 */
#ifndef MF_RUNTIME_CLIENT_PRIVATE_H
#define MF_RUNTIME_CLIENT_PRIVATE_H

#include "base/list.h"
#include "base/table.h"
#include "core/farm.h"
#include "core/range.h"
#include "exec/blocks.h"
#include "runtime/client.h"
#include "runtime/node.h"
#include "runtime/outbox.h"
#include "runtime/sentry.h"
#include "wire/message.h"
#include "wire/record.h"

enum mf_station_state {
    MF_STATION_EXPECTED, /* no HELLO yet */
    MF_STATION_HELLO,    /* waits for the others */
    MF_STATION_UP,       /* works */
    MF_STATION_STOPPING, /* was told to stop; BYE is awaited */
    MF_STATION_LEFT,     /* awaits END */
    MF_STATION_GONE,
};

/**
 * A server, as the client sees it; the one in this process is number 0.
 *
 * @outbox, @inbox  what goes there, and large results on their way here; no inbox once it is lost
 * @n_targeted      units that it alone may run
 * @is_in_hook      its hooks run, which may take as long as they like
 * @awaits_end      END is to follow its BYE, as others may still be lost
 * @awaited_ns      since when it has to do something to leave, once it was told to stop
 * @node            its place in the list of those with something to send
 */
struct mf_station {
    uint32_t rank;
    enum mf_station_state state;
    struct mf_outbox outbox;
    struct mf_inbox *inbox;
    char host[MF_HOST_SIZE];
    struct mf_core *cores;
    uint32_t n_cores;
    uint32_t n_slots;
    uint32_t n_targeted;
    bool is_in_hook;
    bool awaits_end;
    int64_t awaited_ns;
    struct mf_list node;
};

/**
 * Tasks that travel and run together: one task of the farm.
 *
 * @id, @attempt    of the farm's task; attempt is the one that was sent, 0 for none
 * @number          its own, as kept in the tasks
 * @station         where it was sent
 * @target          the rank that alone may run it, 0 for any
 * @n_calls, @calls numbers of the tasks in order, MF_NO_CALL where one was withdrawn; or
 * @run             whether they are one, as long as none was withdrawn
 * @stretch         elements of a range instead, those that were not reported; else NULL
 * @detached        if has_detached, the task that the element before these became, which is to be
 *                  reported next: MF_NO_CALL when it was withdrawn
 * @n_reported      calls whose end is known
 * @function        that of the first call; is_mixed: others have another one
 * @duration_ns     spent in the calls reported
 * @is_recalled     it was asked to give back what has not begun, to be split
 * @is_hungry       there were more tasks to come when it was sent
 */
struct mf_unit {
    mf_task_id id;
    uint32_t attempt;
    uint32_t number;
    struct mf_station *station;
    uint32_t target;
    uint32_t n_calls;
    uint32_t n_reported;
    int64_t sent_ns;
    int64_t duration_ns;
    uint16_t function;
    bool is_mixed;
    bool is_recalled;
    bool is_hungry;
    bool has_detached;
    uint32_t detached;
    struct mf_run run;
    struct mf_stretch *stretch;
    uint32_t calls[];
};

#define MF_NO_CALL UINT32_MAX

/**
 * A block that every node has.
 *
 * @data       the client program's, while it travels
 * @stations   per station: what is known of it there
 * @n_awaited  answers on their way
 * @error      the first that came, 0 or -errno
 */
struct mf_block {
    uint32_t number;
    const void *data;
    size_t size;
    uint32_t n_awaited;
    int error;
    uint8_t *stations;
};

/**
 * @sentry       watches the servers; NULL without other ranks
 * @n_gone       servers whose processes have ended
 * @units        by number; NULL where free, n_units entries
 * @free_units   n_free_units numbers
 * @sending      stations with something to send
 * @is_deaf      receiving failed, and that was said
 * @is_stirred   something happened since the units were looked at
 * @n_aside      units that wait for one server although another has room
 * @turnaround_ns  how far ahead servers should be supplied so that none runs dry: see client_sent.c
 * @are_calls_short  those that were reported last, of work that was not about to end
 * @next_split_ns  when units are looked at next for calls that take long
 * @may_split      there are some that may have to be split then
 * @submitted, @tick, @ended   the events of most turns: to clear one takes as long as to apply it,
 *               so that what is the same in all of them stays
 */
struct mf_client {
    struct mf_client_config config;
    struct mf_farm *farm;
    struct mf_book *book;
    char host[MF_HOST_SIZE];
    struct mf_sharing sharing;
    int64_t ahead_ns;
    int64_t now_ns;
    int64_t created_ns;

    struct mf_station *stations;
    uint32_t n_stations;
    uint32_t n_slots;
    bool is_begun;
    struct mf_error begin_error;
    struct mf_sentry *sentry;
    uint32_t n_gone;

    struct mf_unit **units;
    uint32_t *free_units;
    uint32_t n_units, n_free_units;
    struct mf_list sending;
    bool is_deaf;
    bool is_stirred;
    uint64_t n_aside;
    int64_t turnaround_ns;
    bool are_calls_short;
    int64_t next_split_ns;
    bool may_split;

    struct mf_table *blocks;
    uint32_t last_block;

    struct mf_event submitted, tick, ended;

    uint64_t n_stale;
    int64_t busy_ns;
    bool is_stopping;
};

/* client.c */

/** Applies an event at the time of this turn; out of memory is logged. As mf_farm_apply(). */
int mf_client_apply(struct mf_client *client, struct mf_event *event);

/** As mf_client_submit(), but a task that no rank can run fails. Returns 0 or -ENOMEM. */
int mf_client_submit_child(struct mf_client *client, const struct mf_order *order);

/* client_peers.c */

int mf_stations_create(struct mf_client *client);
void mf_stations_destroy(struct mf_client *client);

/** The station of a rank, or NULL. */
struct mf_station *mf_station_find(struct mf_client *client, uint32_t rank);

/** The frame to append a record of about n bytes for the station to, which is then sent. */
struct mf_buffer *mf_station_frame(struct mf_client *client, struct mf_station *station, size_t n);

/** Appends a record to what goes to the station. */
void mf_station_post(struct mf_client *client, struct mf_station *station,
                     const struct mf_record *record, const struct mf_buffer *body);

/** Sends what there is to send. Returns whether there was any. */
bool mf_stations_send(struct mf_client *client);

/** A server says what it has. Returns 0 or -errno. */
int mf_station_on_hello(struct mf_client *client, struct mf_station *station,
                        struct mf_reader *body);

/** A farm that has not begun does not begin without one of its ranks. */
void mf_station_refuse_to_begin(struct mf_client *client, const struct mf_station *station,
                                const char *why);

/** STOP, with END right behind it where nothing has begun that others could die of. */
void mf_stop_put(struct mf_buffer *frame, int code, const char *why, bool has_losses);

/* client_leaving.c */

/** Gives up the servers that are gone, after what came was taken in. */
void mf_stations_look(struct mf_client *client);

/** Its hooks run, or have ended. Returns 0 or -errno. */
int mf_station_on_hooks(struct mf_client *client, struct mf_station *station,
                        const struct mf_record *record);

/** It has left, or never came. Returns 0 or -errno. */
int mf_station_on_bye(struct mf_client *client, struct mf_station *station, struct mf_reader *body);

/** A server cannot work or is gone: its tasks go elsewhere. `why` is logged unless it is expected.
 */
void mf_station_lose(struct mf_client *client, struct mf_station *station, const char *why);

/** The same for one that still listens: it is told to stop, if it was not, and awaited. */
void mf_station_dismiss(struct mf_client *client, struct mf_station *station, const char *why);

/* client_units.c */

/** Gathers tasks into units, lets the farm place them, and carries out what it says. */
void mf_units_turn(struct mf_client *client);

/** Whether the farm has anything to decide: what to place, or what to ask back for idle servers. */
bool mf_units_have_choice(const struct mf_client *client);

void mf_units_destroy(struct mf_client *client);

/* client_sent.c */

/** The unit that a report is about, NULL if that is out of date. */
struct mf_unit *mf_unit_find(const struct mf_client *client, const struct mf_station *station,
                             uint64_t id, uint32_t attempt);

/** The server is to give back what it has not begun. */
void mf_unit_ask_back(struct mf_client *client, const struct mf_unit *unit);

/**
 * mf_units_split() - share what takes long with servers that have nothing to do.
 *
 * Calls may turn out to be much longer than those before them. Those behind
 * them in their unit are then asked back. O(units), once in a few milliseconds.
 */
void mf_units_split(struct mf_client *client);

/** The calls of a unit that were not reported go back among the READY tasks; suspects travel alone.
 */
void mf_unit_dissolve(struct mf_client *client, struct mf_unit *unit, bool is_suspect);

/** The units of a server that is lost: what it was running is suspect. */
void mf_units_lose(struct mf_client *client, const struct mf_station *station);

/** A PLACED task that is about to end needs its input no more: what is on its way is kept there. */
void mf_units_hand_over_input(struct mf_client *client, uint32_t number);

/** How far ahead servers are supplied follows from how long they had nothing to do. */
void mf_units_note_idle(struct mf_client *client, const struct mf_unit *unit, int64_t idle_ns);
int64_t mf_units_turnaround_ns(const struct mf_client *client);

/* client_stretches.c */

/** Whether anybody wants the call of a unit that is reported next, which is not beyond the last. */
bool mf_unit_is_next_wanted(const struct mf_unit *unit);

/** The task that the call of a unit that is reported next is; of a stretch, it is detached for
 * that. MF_NO_CALL when it was withdrawn, or is lost as memory is out. */
uint32_t mf_unit_next(struct mf_client *client, struct mf_unit *unit);

/** The call that mf_unit_next() gave was reported, or is done with. */
void mf_unit_step(struct mf_unit *unit);

/** The next n elements of a unit's stretch are DONE, with n results of size bytes. */
void mf_unit_end_elements(struct mf_client *client, struct mf_unit *unit, uint32_t n,
                          const uint8_t *results, size_t size);

/** Appends the stretch of a unit. */
void mf_unit_put_stretch(const struct mf_client *client, const struct mf_unit *unit,
                         struct mf_buffer *frame);

/** The same for tasks that are a run. */
void mf_unit_put_run(const struct mf_client *client, const struct mf_unit *unit,
                     struct mf_buffer *frame);

/* client_results.c */

/** One record of a server that works. Returns 0, or -errno if it makes no sense. */
int mf_results_handle(struct mf_client *client, struct mf_station *station,
                      const struct mf_record *record, struct mf_reader *body);

/* client_blocks.c */

/** A server has a block, or says why not. Returns 0 or -EBADMSG. */
int mf_blocks_on_stored(struct mf_client *client, struct mf_station *station,
                        const struct mf_record *record, struct mf_reader *body);
void mf_blocks_lose(struct mf_client *client, const struct mf_station *station);
void mf_blocks_destroy(struct mf_client *client);

#endif
