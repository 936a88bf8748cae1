/* Which lines need a shell. */
#include "taskfile/words.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool needs_shell(const char *text)
{
    return mf_words_need_shell(text, strlen(text));
}

Test(words, every_character_of_the_shell_needs_a_shell)
{
    const char characters[] = "|&;<>()$`\\\"'*?[]!{}^\n";

    for (size_t i = 0; characters[i]; i++) {
        char line[] = "echo a.b";

        line[6] = characters[i];
        cr_expect(needs_shell(line), "%s", line);
    }
}

Test(words, plain_words_need_none)
{
    cr_expect(!needs_shell("./sim --steps=10 -x +1 a@b c:d e,f 50% /g/h_i"));
}

Test(words, a_hash_or_tilde_matters_only_where_a_word_begins)
{
    cr_expect(needs_shell("a #b"));
    cr_expect(!needs_shell("a b#c"));
    cr_expect(needs_shell("a ~/b"));
    cr_expect(!needs_shell("a b~"));
    cr_expect(needs_shell("~/a"));
}

Test(words, an_equals_sign_matters_only_in_the_first_word)
{
    cr_expect(needs_shell("A=1 b"));
    cr_expect(!needs_shell("a b=1"));
}

Test(words, keywords_and_builtins_need_a_shell_where_a_command_begins)
{
    const char *words[] = {".",    ":",      "alias",  "case",  "cd",   "command", "eval",
                           "exec", "exit",   "export", "for",   "if",   "read",    "set",
                           "trap", "ulimit", "umask",  "unset", "wait", "while",   "type"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        char line[32];

        snprintf(line, sizeof(line), "  %s x", words[i]);
        cr_expect(needs_shell(line), "%s", line);
        cr_expect(needs_shell(words[i]), "%s", words[i]);
        snprintf(line, sizeof(line), "x %s", words[i]);
        cr_expect(!needs_shell(line), "%s", line);
        snprintf(line, sizeof(line), "%sx", words[i]);
        cr_expect(!needs_shell(line), "%s", line);
    }
}

Test(words, builtins_that_are_programs_too_need_none)
{
    const char *words[] = {"echo", "printf", "test", "true", "false", "kill", "pwd"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        cr_expect(!needs_shell(words[i]), "%s", words[i]);
}
