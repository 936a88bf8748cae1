/* What is kept of run times that were learned: runtime/learned.c. */
#include "runtime/scheduler_private.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>

Test(learned, the_kinds_with_the_most_tasks_behind_them_are_kept)
{
    json_t *note = json_pack("{s:[f,i], s:[f,i], s:[f,i]}", "often", 1.0, 900, "rarely", 2.0, 3,
                             "sometimes", 3.0, 70);
    char *text = mf_learned_dump(note, 48);

    cr_assert_str_eq(text, "{\"often\":[1.0,900],\"sometimes\":[3.0,70]}");
    free(text);
    text = mf_learned_dump(note, 30);
    cr_assert_str_eq(text, "{\"often\":[1.0,900]}");
    free(text);
    json_decref(note);
}

Test(learned, thousands_of_kinds_are_cut_to_size)
{
    json_t *note = json_object();
    char name[32], *text;

    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof(name), "kind number %d", i);
        json_object_set_new(note, name, json_pack("[f,i]", 0.5, i + 1));
    }
    text = mf_learned_dump(note, 1 << 18);
    cr_assert(text && strlen(text) < 1 << 18 && strlen(text) > 1 << 17);
    cr_assert_null(json_object_get(note, "kind number 0"));
    cr_assert_not_null(json_object_get(note, "kind number 19999"));
    free(text);
    json_decref(note);
}
