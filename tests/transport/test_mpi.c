/* Ranks under mpirun: order, bursts, peers that stop or die in mid-transfer, and leaving. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

TestSuite(mpi, .init = t_enter_dir, .fini = t_leave_dir);

/* Through TCP, and with copies in pieces that the sender has to move, as over a network. */
#define TCP "--mca btl tcp,self "
#define IN_PIECES "--mca btl_vader_single_copy_mechanism none "

/* Open MPI leaves memory behind in modules that it has unloaded, where nothing can name it. It ends
 * also where nobody waits for it any more. */
#define MPIRUN                                                                                     \
    "ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 timeout --foreground -k 5 250 "                     \
    "mpirun --oversubscribe --bind-to none "

static bool said(const struct t_result *result, int rank, const char *text)
{
    char line[32];

    snprintf(line, sizeof(line), "rank %d: %s", rank, text);
    return t_has(result->out, line);
}

static void expect_all_fine(int ranks, const char *options, const char *scenario)
{
    struct t_result result = t_sh(MPIRUN "-n %d %s mpi_program %s", ranks, options, scenario);

    for (int rank = 0; rank < ranks; rank++) {
        cr_assert(said(&result, rank, "fine"), "%s%s", result.out, result.err);
        cr_assert(said(&result, rank, "left"), "%s%s", result.out, result.err);
    }
    cr_assert(eq(int, t_count_lines(result.out, ""), 2 * ranks), "%s%s", result.out, result.err);
    cr_assert(eq(int, result.status, 0));
}

Test(mpi, frames_of_all_sizes_arrive_in_order_between_all_ranks)
{
    expect_all_fine(1, "", "order");
    expect_all_fine(4, "", "order");
    expect_all_fine(4, IN_PIECES, "order");
    expect_all_fine(3, TCP, "order");
}

Test(mpi, a_burst_to_ranks_that_do_not_receive_yet_arrives_in_order)
{
    expect_all_fine(3, "", "burst");
    expect_all_fine(3, IN_PIECES, "burst");
    expect_all_fine(3, TCP, "burst");
}

Test(mpi, thousands_of_small_frames_under_way_arrive_in_order)
{
    expect_all_fine(3, "", "flood");
    expect_all_fine(3, TCP, "flood");
}

Test(mpi, a_large_frame_arrives_although_small_ones_keep_coming)
{
    expect_all_fine(2, "", "busy");
}

Test(mpi, a_rank_stopped_in_mid_transfer_holds_up_itself_alone)
{
    expect_all_fine(3, IN_PIECES, "stopped");
    expect_all_fine(3, TCP, "stopped");
}

/* After a death Open MPI may not let the others leave, so mpirun is ended once they are fine. */
static void expect_survivors_fine(const char *options)
{
    struct t_result result =
        t_sh(": > out; " MPIRUN "--enable-recovery %s -n 3 mpi_program killed >> out & pid=$!;"
             "while [ $(grep -c fine out) -lt 2 ] && kill -0 $pid; do sleep 0.02; done;"
             "kill $pid; wait $pid; cat out",
             options);

    cr_assert(said(&result, 0, "fine"), "%s%s", result.out, result.err);
    cr_assert(said(&result, 1, "fine"), "%s%s", result.out, result.err);
    cr_assert(not(t_has(result.out, "rank 2")), "%s%s", result.out, result.err);
}

Test(mpi, a_rank_killed_in_mid_transfer_holds_up_itself_alone)
{
    expect_survivors_fine("");
    expect_survivors_fine(IN_PIECES);
    expect_survivors_fine(TCP);
}

Test(mpi, an_end_that_is_started_later_is_reached_as_the_others)
{
    struct t_result result = t_sh(MPIRUN "-n 2 mpi_program spawning");

    for (int rank = 0; rank < 5; rank++)
        cr_assert(said(&result, rank, "fine") && said(&result, rank, "left"), "%s%s", result.out,
                  result.err);
    cr_assert(eq(int, result.status, 0));
}

Test(mpi, a_signal_while_an_end_is_started_is_left_to_whoever_takes_it)
{
    struct t_result result = t_sh(MPIRUN "-n 2 mpi_program signalled");

    for (int rank = 0; rank < 3; rank++)
        cr_assert(said(&result, rank, "left"), "%s%s", result.out, result.err);
    cr_assert(eq(int, result.status, 0));
}

/* mpirun may wait for the lost one, so that it is ended. */
Test(mpi, an_end_that_does_not_come_up_holds_up_nobody)
{
    struct t_result result =
        t_sh(": > out; " MPIRUN "--enable-recovery -n 2 mpi_program unborn >> out & pid=$!;"
             "while [ $(grep -c fine out) -lt 2 ] && kill -0 $pid; do sleep 0.02; done;"
             "kill $pid; wait $pid; cat out");

    cr_assert(said(&result, 0, "fine"), "%s%s", result.out, result.err);
    cr_assert(said(&result, 1, "fine"), "%s%s", result.out, result.err);
}

/* The second rank is stopped, and could not notice anything. */
Test(mpi, ranks_that_hang_are_gone_with_a_test_that_fails)
{
    struct t_result result =
        t_sh(": > out; " MPIRUN "-n 2 mpi_program hanging >> out & pid=$!;"
             "until [ $(grep -c process out) = 2 ]; do sleep 0.02; done; "
             "kill -STOP $(sed -n 's/rank 1: process //p' out); kill -9 $(pgrep -P $pid mpirun); "
             "for rank in $(sed 's/.*process //' out); do while is_alive $rank; do sleep 0.02; "
             "done; done; wait $pid; echo $?");

    cr_assert(eq(str, result.out, "137\n"), "%s", result.err);
}

Test(mpi, bytes_are_unsent_until_the_peer_has_taken_them)
{
    expect_all_fine(2, "", "unsent");
    expect_all_fine(2, IN_PIECES, "unsent");
}

Test(mpi, memory_of_large_frames_serves_the_next_ones)
{
    expect_all_fine(2, "", "recycling");
    expect_all_fine(2, IN_PIECES, "recycling");
    expect_all_fine(2, TCP, "recycling");
}

Test(mpi, what_was_sent_last_arrives_although_its_sender_leaves)
{
    expect_all_fine(2, "", "last_words");
    expect_all_fine(2, TCP, "last_words");
}

Test(mpi, a_peer_to_which_a_send_fails_gets_nothing_more_and_the_others_do)
{
    expect_all_fine(2, "", "failing");
}

Test(mpi, ranks_leave_with_frames_under_way_that_nobody_receives)
{
    expect_all_fine(2, "", "leave");
    expect_all_fine(2, IN_PIECES, "leave");
}
