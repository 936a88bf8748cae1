/* JSON Lines: the same fields as a plain line, and what is refused. */
#include "support.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(jsonl, .init = t_enter, .fini = t_leave);

#define tasks_are(text, shown) cr_assert_str_eq(t_tasks(text), (shown))

Test(jsonl, an_object_is_a_task)
{
    tasks_are("{\"cmd\": \"./sim  a\"}\n\n{ \"id\": \"x\", \"cmd\": \"a | b\" }\n",
              "1: [./sim][a]\nx: sh a | b\n");
}

Test(jsonl, an_array_is_an_argument_vector)
{
    tasks_are("{\"cmd\": [\"a\", \"b c\", \"\", \"$x\"]}\n", "1: [a][b c][][$x]\n");
}

Test(jsonl, all_keys_are_read_as_numbers_or_strings)
{
    tasks_are("{\"cmd\":\"a\",\"cores\":2,\"timeout\":1.5,\"retries\":\"3\",\"priority\":-1,"
              "\"cwd\":\"/tmp\",\"env\":{\"A\":\"1\",\"B\":\"x y\"}}\n",
              "1: [a] cores=2 timeout=1500ms retries=3 priority=-1 cwd=/tmp env=A=1 env=B=x y\n");
}

Test(jsonl, an_id_may_be_a_number)
{
    tasks_are("{\"id\": 70, \"cmd\": \"a\"}", "70: [a]\n");
}

Test(jsonl, comments_and_defaults_may_stand_before_the_first_object)
{
    tasks_are("# comment\n#FARM cores=2\n{\"cmd\":\"a\"}\n", "3: [a] cores=2\n");
}

Test(jsonl, a_newline_in_a_command_makes_it_a_shell_text)
{
    tasks_are("{\"cmd\": \"a\\nb\"}", "1: sh a\nb\n");
}

Test(jsonl, a_shell_group_is_no_object)
{
    tasks_are("{ a; }\n{\"cmd\":1}\n", "1: sh { a; }\n2: sh {\"cmd\":1}\n");
}

Test(jsonl, after_the_first_object_every_line_must_be_one)
{
    tasks_are("{\"cmd\":\"a\"}\necho b\n", "a.farm:2: column 4: '[' or '{' expected near 'echo'");
    tasks_are("{\"cmd\":\"a\"}\n#\n", "a.farm:2: column 1: '[' or '{' expected near '#'");
    tasks_are("{\"cmd\":\"a\"}\n[1]\n", "a.farm:2: an object is expected, not an array");
}

Test(jsonl, malformed_json_is_refused_with_its_column)
{
    tasks_are("{\"cmd\":\"a\",}\n", "a.farm:1: column 12: string or '}' expected near '}'");
    tasks_are("{\"cmd\":\"a\"} x\n", "a.farm:1: column 13: end of file expected near 'x'");
}

Test(jsonl, a_key_is_given_once)
{
    tasks_are("{\"cmd\":\"a\",\"cmd\":\"b\"}\n",
              "a.farm:1: column 16: duplicate object key near '\"cmd\"'");
}

Test(jsonl, a_nul_character_is_refused)
{
    const char *shown = t_tasks("{\"cmd\":\"a\\u0000b\"}\n");

    cr_assert(strstr(shown, "a.farm:1: column "), "%s", shown);
    cr_assert(strstr(shown, "\\u0000 is a NUL character, which no command"), "%s", shown);
}

Test(jsonl, invalid_utf_8_is_refused)
{
    const char *shown = t_tasks("{\"cmd\":\"a\xff\"}\n");

    cr_assert(strstr(shown, "a.farm:1: column "), "%s", shown);
}

Test(jsonl, an_unknown_key_is_refused_with_the_nearest)
{
    tasks_are("{\"cmdd\":\"a\"}\n", "a.farm:1: unknown key \"cmdd\", did you mean \"cmd\"?");
    tasks_are("{\"cmd\":\"a\",\"zzzzzz\":1}\n",
              "a.farm:1: unknown key \"zzzzzz\" (known: cmd, input, id, func, after, afterany, "
              "afternotok, "
              "cores, nodes, ranks, mem, gpus, time, timeout, deadline, retries, priority, weight, "
              "group, cwd, env)");
}

Test(jsonl, a_task_needs_a_command)
{
    tasks_are("{\"id\":\"a\"}\n", "a.farm:1: cmd is missing");
    tasks_are("{}\n", "a.farm:1: cmd is missing");
    tasks_are("{\"cmd\":\" \"}\n", "a.farm:1: cmd: the command is empty");
    tasks_are("{\"cmd\":[]}\n", "a.farm:1: cmd: the array is empty");
    tasks_are("{\"cmd\":[\"\"]}\n", "a.farm:1: cmd: the name of the program is empty");
}

Test(jsonl, a_value_of_the_wrong_type_is_refused)
{
    tasks_are("{\"cmd\":1}\n",
              "a.farm:1: cmd: a number, but a string or an array of strings is expected");
    tasks_are("{\"cmd\":[\"a\",2]}\n", "a.farm:1: cmd: element 2 is a number, not a string");
    tasks_are("{\"cmd\":\"a\",\"cores\":[2]}\n",
              "a.farm:1: cores: an array, but a number or a string is expected");
    tasks_are("{\"cmd\":\"a\",\"cores\":null}\n",
              "a.farm:1: cores: null, but a number or a string is expected");
    tasks_are("{\"cmd\":\"a\",\"env\":\"A=1\"}\n",
              "a.farm:1: env: a string, but an object is expected");
    tasks_are("{\"cmd\":\"a\",\"env\":{\"A\":1}}\n",
              "a.farm:1: env: A is a number, but a string is expected");
    tasks_are("{\"cmd\":\"a\",\"env\":{\"A B\":\"1\"}}\n",
              "a.farm:1: env: \"A B=1\" is not NAME=value");
}

Test(jsonl, ids_are_kept_apart)
{
    tasks_are("{\"cmd\":\"a\",\"id\":\"x\"}\n{\"cmd\":\"a\",\"id\":\"x\"}\n",
              "a.farm:2: id \"x\" is already used at a.farm:1");
}

/* An object with one argument of n bytes. */
static const char *long_argument(size_t n)
{
    FILE *file = fopen("a.jsonl", "w");

    cr_assert(file);
    fputs("{\"cmd\":[\"a\",\"", file);
    for (size_t i = 0; i < n; i++)
        putc('x', file);
    fputs("\"]}", file);
    fclose(file);
    return "a.jsonl";
}

Test(jsonl, an_argument_that_is_too_long_is_refused_with_its_length)
{
    struct mf_source *source = t_open(long_argument(131071), NULL);

    cr_assert_eq(strlen(t_next(source)->command.args[1]), 131071);
    mf_source_close(source);
    cr_assert_str_eq(
        t_open_error(long_argument(131072), NULL),
        "a.jsonl:1: cmd: the argument is 131072 bytes long, but the system takes no more "
        "than 131071");
    cr_assert_str_eq(t_open_error(long_argument(3 << 20), NULL),
                     "a.jsonl:1: the line is 3145744 bytes long, but at most 1048576 are taken");
}
