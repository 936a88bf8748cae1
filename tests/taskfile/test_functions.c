/* Functions in task files: their input, what they take from the keys, and what is refused. */
#include "support.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void enter(void)
{
    t_enter();
    t_has_functions = true;
}

TestSuite(functions, .init = enter, .fini = t_leave);

#define tasks_are(text, shown) cr_assert_str_eq(t_tasks(text), (shown))

Test(functions, the_rest_of_the_line_is_the_input)
{
    tasks_are("[func=render] 3 4\n", "1: render [3 4]\n");
    tasks_are("[func=render]  \t \"a  b\" $x | [y]  \n", "1: render [\"a  b\" $x | [y]  ]\n");
    tasks_are("[func=render]\n[func=render]   \ntrue\n", "1: render []\n2: render []\n3: [true]\n");
    tasks_are("[func=render] a\r\n", "1: render [a]\n");
}

Test(functions, keys_of_tasks_are_obeyed)
{
    tasks_are("[id=a func=render timeout=3 retries=2 priority=5 cores=1] x\n",
              "a: render [x] timeout=3000ms retries=2 priority=5\n");
}

Test(functions, defaults_are_taken_but_for_those_of_commands)
{
    tasks_are("#FARM timeout=3 retries=2 cwd=/ env=A=1\n[func=render] x\ntrue\n",
              "2: render [x] timeout=3000ms retries=2\n"
              "3: [true] timeout=3000ms retries=2 cwd=/ env=A=1\n");
}

Test(functions, json_has_func_and_input)
{
    tasks_are("{\"func\": \"render\", \"input\": \"3\\n4\", \"id\": \"a\"}\n"
              "{\"func\": \"render\"}\n{\"cmd\": \"true\"}\n",
              "a: render [3\n4]\n2: render []\n3: [true]\n");
}

Test(functions, what_means_nothing_to_them_is_refused)
{
    tasks_are("[func=render cwd=/tmp] x\n",
              "a.farm:1: cwd is for commands: a function runs in a process that it shares with "
              "others");
    tasks_are("{\"func\":\"render\",\"env\":{\"A\":\"1\"}}\n",
              "a.farm:1: env is for commands: a function runs in a process that it shares with "
              "others");
    tasks_are("[func=render cores=2] x\n",
              "a.farm:1: a function runs on one core, so cores=2 cannot be had: say cores=1");
    tasks_are("#FARM cores=3\ntrue\n[func=render] x\n",
              "a.farm:3: a function runs on one core, so cores=3 cannot be had: say cores=1");
    tasks_are("#FARM cores=3\n[func=render cores=1] x\n", "2: render [x]\n");
    tasks_are("#FARM func=render\n", "a.farm:1: in #FARM: func belongs to a single task");
}

Test(functions, their_names_are_checked)
{
    tasks_are("true\n[func=rendr] x\n", "a.farm:2: no module has a function \"rendr\"");
    tasks_are("[func=] x\n", "a.farm:1: in [key=value ...]: func: the name of a function has 1 to "
                             "255 bytes, not 0");
    tasks_are("[func=a.b] x\n", "a.farm:1: in [key=value ...]: func: the name of a function has "
                                "letters, digits and \"_\" only (byte 2)");
    tasks_are("[func=render func=render] x\n", "a.farm:1: in [key=value ...]: func is given twice");
    t_has_functions = false;
    tasks_are("[func=render] x\n", "a.farm:1: function \"render\" needs a module that has it: run "
                                   "with --module FILE");
}

Test(functions, json_has_either_a_command_or_a_function)
{
    tasks_are("{\"func\":\"render\",\"cmd\":\"x\"}\n",
              "a.farm:1: a task has either cmd or func, not both");
    tasks_are("{\"cmd\":\"x\",\"input\":\"y\"}\n",
              "a.farm:1: input is for a function, and func is missing");
    tasks_are("{\"func\":\"render\",\"input\":3}\n",
              "a.farm:1: input: a number, but a string is expected");
    tasks_are("{\"func\":\"render\",\"inptu\":\"x\"}\n",
              "a.farm:1: unknown key \"inptu\", did you mean \"input\"?");
}

Test(functions, an_input_may_be_longer_than_a_command)
{
    size_t n = 1000000;
    char *text = malloc(2 * n);
    struct mf_source *source;
    const struct mf_entry *entry;

    strcpy(text, "[func=render] ");
    memset(text + strlen(text), 'x', n);
    text[n] = '\0';
    source = t_open(t_write("a.farm", text), NULL);
    entry = t_next(source);
    cr_assert_eq(strlen(entry->command.args[0]), n - strlen("[func=render] "));
    mf_source_close(source);
    memset(text + n, 'x', 99999);
    text[n + 99999] = '\0';
    cr_assert_str_eq(t_open_error(t_write("a.farm", text), NULL),
                     "a.farm:1: the line is 1099999 bytes long, but at most 1048576 are taken");
    free(text);
}
