/* mpifarm map: one command, many arguments, none of them changed on the way. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

TestSuite(map, .init = t_enter_dir, .fini = t_leave_dir);

Test(map, makes_all_combinations_in_order)
{
    cr_assert(eq(str, t_sh("mpifarm map -k echo {2}{1} ::: a b ::: 1 2").out, "1a\n2a\n1b\n2b\n"));
}

Test(map, links_lists)
{
    cr_assert(eq(str, t_sh("mpifarm map -k echo {1}={2} ::: a b :::+ 1 2").out, "a=1\nb=2\n"));
}

Test(map, knows_parts_of_names)
{
    cr_assert(eq(str, t_sh("mpifarm map echo {} {.} {/} {//} {/.} {#} ::: d/f.tar.gz").out,
                 "d/f.tar.gz d/f.tar f.tar.gz d f.tar 1\n"));
}

Test(map, arguments_arrive_unchanged_in_any_quotes)
{
    t_write("args", "a b\n$HOME `id` $(id)\n'\"\\\n* ?\n-n\n");
    struct t_result result = t_sh("mpifarm map -k 'printf \"%%s\\n\" {} | cat' :::: args > plain; "
                                  "mpifarm map -k \"printf '%%s\\n' \\\"{}\\\" | cat\" :::: args > "
                                  "double; mpifarm map -k \"printf '%%s\\n' '{}' | cat\" :::: args "
                                  "> single; cmp plain args && cmp double args && cmp single args");
    cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
}

Test(map, a_newline_survives)
{
    cr_assert(eq(str, t_sh("mpifarm map printf %%s. ::: 'a\nb'").out, "a\nb."));
}

Test(map, reads_standard_input_without_a_list)
{
    cr_assert(
        eq(str, t_sh("printf 'x\\ny z\\n' | mpifarm map -k echo got {}").out, "got x\ngot y z\n"));
}

Test(map, slots_are_numbered_from_one)
{
    struct t_result result = t_sh("mpifarm map -j 2 'touch {}; until [ -e a ] && [ -e b ]; do "
                                  "sleep 0.01; done; echo {%%}' ::: a b | sort");
    cr_assert(eq(str, result.out, "1\n2\n"), "%s", result.err);
}

Test(map, tags_lines_with_the_arguments)
{
    cr_assert(eq(str, t_sh("mpifarm map --tag echo {2} ::: a ::: b").out, "a b\tb\n"));
}

Test(map, options_of_the_command_are_its_own)
{
    cr_assert(eq(str, t_sh("mpifarm map echo -k --jobs {} ::: x").out, "-k --jobs x\n"));
}
