/* Tests of base/shell.c. */
#include "base/command.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* What was written, as a text that lives until the next call. */
static const char *text_of(struct mf_buffer *buffer)
{
    static char text[4096];

    cr_assert_eq(mf_buffer_status(buffer), 0);
    cr_assert_lt(buffer->size, sizeof(text));
    if (buffer->size > 0)
        memcpy(text, buffer->data, buffer->size);
    text[buffer->size] = '\0';
    mf_buffer_finish(buffer);
    return text;
}

static const char *quoted(const char *text)
{
    struct mf_buffer buffer = {0};

    mf_shell_quote(text, &buffer);
    return text_of(&buffer);
}

static const char *printed(const struct mf_command *command)
{
    struct mf_buffer buffer = {0};

    mf_command_print(command, &buffer);
    return text_of(&buffer);
}

Test(shell, plain_words_are_left_alone)
{
    cr_assert_str_eq(quoted("./sim-2_a.dat"), "./sim-2_a.dat");
    cr_assert_str_eq(quoted("--out=x/y:z,1+2@3%"), "--out=x/y:z,1+2@3%");
}

Test(shell, an_empty_word_is_a_pair_of_quotes)
{
    cr_assert_str_eq(quoted(""), "''");
}

Test(shell, a_single_quote_is_taken_out_of_the_quotes)
{
    cr_assert_str_eq(quoted("it's"), "'it'\\''s'");
    cr_assert_str_eq(quoted("'"), "''\\'''");
}

Test(shell, sh_reads_back_each_byte_that_was_quoted)
{
    struct mf_buffer buffer = {0};
    char text[256], command[2048], answer[256] = {0};
    FILE *sh;

    for (int c = 1; c < 256; c++)
        text[c - 1] = (char)c;
    text[255] = '\0';
    mf_shell_quote(text, &buffer);
    snprintf(command, sizeof(command), "printf %%s %s", text_of(&buffer));
    sh = popen(command, "r");
    cr_assert_not_null(sh);
    cr_assert_eq(fread(answer, 1, sizeof(answer), sh), 255u);
    cr_assert_eq(pclose(sh), 0);
    cr_assert_eq(memcmp(answer, text, 255), 0);
}

Test(shell, each_character_that_sh_would_interpret_gets_quotes)
{
    static const char special[] = " \t\n|&;<>()$`\\\"'*?[]#~!{}^\x80\xff";

    for (size_t i = 0; special[i] != '\0'; i++) {
        const char word[] = {'a', special[i], '\0'};

        cr_assert_eq(quoted(word)[0], '\'', "character %d", special[i]);
    }
}

Test(shell, arguments_are_printed_as_words)
{
    static const char *const args[] = {"./sim", "a b", "--n=3", ""};
    const struct mf_command command = {.id = "1", .n_args = 4, .args = args};

    cr_assert_str_eq(printed(&command), "./sim 'a b' --n=3 ''");
}

Test(shell, a_program_whose_name_looks_like_an_assignment_is_quoted)
{
    static const char *const args[] = {"a=b", "c=d"};
    const struct mf_command command = {.id = "1", .n_args = 2, .args = args};

    cr_assert_str_eq(printed(&command), "'a=b' c=d");
}

Test(shell, a_shell_text_is_printed_as_it_is)
{
    static const char *const args[] = {"for i in 1 2\ndo echo \"$i\"; done"};
    const struct mf_command command = {.id = "1", .is_shell = true, .n_args = 1, .args = args};

    cr_assert_str_eq(printed(&command), args[0]);
}

Test(shell, the_slot_number_is_printed_as_its_replacement_string)
{
    static const char *const args[] = {"./sim", "gpu", "a b"};
    static const struct mf_slot_mark marks[] = {{1, 3}, {2, 0}, {2, 1}};
    const struct mf_command command = {
        .id = "1", .n_args = 3, .args = args, .n_marks = 3, .marks = marks};
    const struct mf_command text = {.id = "1",
                                    .is_shell = true,
                                    .n_args = 1,
                                    .args = args + 2,
                                    .n_marks = 1,
                                    .marks = &(struct mf_slot_mark){0, 3}};

    cr_assert_str_eq(printed(&command), "./sim 'gpu{%}' '{%}a{%} b'");
    cr_assert_str_eq(printed(&text), "a b{%}");
}

Test(shell, a_function_is_printed_as_its_line)
{
    const char *input = "3 'x' $y";
    struct mf_command command = {.function = "render", .n_args = 1, .args = &input};

    cr_assert_str_eq(printed(&command), "[func=render] 3 'x' $y");
    input = "";
    cr_assert_str_eq(printed(&command), "[func=render]");
}
