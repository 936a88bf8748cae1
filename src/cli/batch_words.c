/*
 * Whose the words of "mpifarm batch" are. sbatch has more options than are known here, and other
 * ones from version to version: what is no option of batch is its. All that has to be known of
 * them is which take no value, so that a task file can be told from a value.
 */
#include "cli/batch.h"

#include "cli/farming.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Options of sbatch that take no value, or one behind "=" only; and letters of those that do. */
static const char flag_letters[] = "HhkOQsvVWXz";
static const char value_letters[] = "aAbBcCdDeFGiJLmMnNopqStUwxZ";
static const char *const flags[] = {
    "contiguous",    "exclusive",  "get-user-env", "hold",          "ignore-pbs", "nice",
    "no-kill",       "no-requeue", "overcommit",   "oversubscribe", "parsable",   "propagate",
    "quiet",         "reboot",     "requeue",      "spread-job",    "test-only",  "usage",
    "use-min-nodes", "verbose",    "version",      "wait",
};

/* Those that say how this job is submitted, not what it is: they do not belong into a script that
 * may be submitted again. None takes a value. */
static const char submit_letters[] = "HQvW";
static const char *const submit_flags[] = {"hold",      "parsable", "quiet",
                                           "test-only", "verbose",  "wait"};

/* Options of "mpifarm run" that sbatch has, too, and that are sbatch's before "--". */
static const char *const shared[] = {"gpus", "mem", "output", "quiet"};

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static bool is_one_of(const char *name, size_t length, const char *const *names, size_t n_names)
{
    for (size_t i = 0; i < n_names; i++)
        if (strlen(names[i]) == length && memcmp(names[i], name, length) == 0)
            return true;
    return false;
}

/* Whether the word behind an option of sbatch is its value. */
static bool takes_next(const char *word)
{
    if (word[1] != '-')
        return word[2] == '\0' && !strchr(flag_letters, word[1]);
    return !strchr(word, '=') && !is_one_of(word + 2, strlen(word + 2), flags, N_OF(flags));
}

/* The option of "mpifarm run" that a letter is, if sbatch has none of it; else NULL. */
static const struct mf_option *find_run_letter(char letter)
{
    if (!letter || strchr(flag_letters, letter) || strchr(value_letters, letter))
        return NULL;
    for (size_t i = 0; i < MF_N_RUN_OPTIONS; i++)
        if (mf_farming_options[i].letter == letter)
            return &mf_farming_options[i];
    return NULL;
}

/* The option of "mpifarm run" that a word is, if sbatch has none of that name; else NULL. */
static const struct mf_option *find_run_option(const char *word)
{
    const char *name = word + 2;
    size_t length = strcspn(name, "=");

    if (word[1] != '-')
        return find_run_letter(word[1]);
    if (is_one_of(name, length, shared, N_OF(shared)))
        return NULL;
    for (size_t i = 0; i < MF_N_RUN_OPTIONS; i++)
        if (is_one_of(name, length, &mf_farming_options[i].name, 1))
            return &mf_farming_options[i];
    return NULL;
}

/* Whether a letter is among those of a word: behind others that take no value. */
static bool has_letter(const char *word, char letter)
{
    for (word++; *word && *word != letter && strchr(flag_letters, *word); word++)
        ;
    return letter && *word == letter;
}

/* Whether a word is an option of sbatch, "--NAME" or "-LETTER", with its value or without. sbatch
 * takes the beginning of a name for all of it. */
static bool is_option(const char *word, const char *name, char letter)
{
    size_t length = strcspn(word + 2 * (word[1] == '-'), "=");

    if (word[1] != '-')
        return has_letter(word, letter);
    return length >= 2 && length <= strlen(name) && strncmp(word + 2, name, length) == 0;
}

/* Words of sbatch that say how this job is submitted, all of each. */
static bool is_of_submitting(const char *word)
{
    if (word[1] != '-')
        return word[1 + strspn(word + 1, submit_letters)] == '\0';
    for (size_t i = 0; i < N_OF(submit_flags); i++)
        if (is_option(word, submit_flags[i], 0) && !strchr(word, '='))
            return true;
    return false;
}

static int check_letters(const char *word, struct mf_error *err)
{
    for (const char *letter = submit_letters; *letter && !is_of_submitting(word); letter++)
        if (word[1] != '-' && has_letter(word, *letter))
            return mf_error_set(err, -EINVAL, "%.20s: make -%c a word of its own", word, *letter);
    return 0;
}

/* What would make a script of a farm something else. */
static int check_slurm_option(const char *word, struct mf_error *err)
{
    const struct mf_option *option = find_run_option(word);

    if (option)
        return mf_error_set(err, -EINVAL,
                            "%.*s is an option of mpifarm run: put it behind \"--\", as in "
                            "\"mpifarm batch tasks.txt -N 4 -- --%s%s%s\"",
                            word[1] == '-' ? (int)strcspn(word, "=") : 2, word, option->name,
                            option->value ? " " : "", option->value ? option->value : "");
    if (is_option(word, "array", 'a'))
        return mf_error_set(err, -EINVAL,
                            "%.20s: the jobs of an array would all be the same run; submit each "
                            "with a --run-dir of its own, or see slurm/array.sbatch",
                            word);
    if (is_option(word, "chdir", 'D'))
        return mf_error_set(err, -EINVAL,
                            "%.20s: the job runs where it is submitted; go there, or use cwd= for "
                            "tasks",
                            word);
    if (is_option(word, "wrap", 0))
        return mf_error_set(err, -EINVAL, "--wrap: the script is mpifarm's");
    if (strchr(word, '\n'))
        return mf_error_set(err, -EINVAL, "an option of sbatch has a newline in it");
    return check_letters(word, err);
}

static const struct mf_option *find_own(const char *word, size_t *ret_index)
{
    if (strncmp(word, "--", 2) != 0)
        return NULL;
    for (size_t i = 0; i < MF_BATCH_N_OPTIONS; i++)
        if (is_one_of(word + 2, strcspn(word + 2, "="), &mf_batch_options[i].name, 1)) {
            *ret_index = i;
            return &mf_batch_options[i];
        }
    return NULL;
}

/* Takes argv[i], which is an option of batch. Returns how many words that are, or -errno. */
static int take_own(char **argv, int i, const struct mf_option *option, size_t index,
                    struct mf_batch_words *words, struct mf_error *err)
{
    const char *value = strchr(argv[i], '=');
    int n_words = 1;

    if (!option->value && value)
        return mf_error_set(err, -EINVAL, "option --%s takes no value", option->name);
    if (option->value && !value) {
        value = argv[i + 1];
        if (!value)
            return mf_error_set(err, -EINVAL, "option --%s needs a value: --%s %s", option->name,
                                option->name, option->value);
        n_words = 2;
    } else if (value) {
        value++;
    }
    words->is_chain |= index == MF_BATCH_OPTION_CHAIN;
    words->is_dry_run |= index == MF_BATCH_OPTION_DRY_RUN;
    if (option->value) {
        words->question = index == MF_BATCH_OPTION_GETS_ON ? MF_BATCH_GETS_ON : MF_BATCH_IS_LEFT;
        words->run_dir = value;
    }
    return n_words;
}

/* The same for one of sbatch. */
static int take_slurm(char **argv, int i, struct mf_batch_words *words, struct mf_error *err)
{
    bool has_value = takes_next(argv[i]) && argv[i + 1] && strcmp(argv[i + 1], "--") != 0;
    int r = check_slurm_option(argv[i], err);

    if (r == 0 && has_value && strchr(argv[i + 1], '\n'))
        r = mf_error_set(err, -EINVAL, "the value of %.50s has a newline in it", argv[i]);
    if (r < 0)
        return r;
    words->is_waiting |= is_option(argv[i], "wait", 'W');
    words->is_requeued |= is_option(argv[i], "requeue", 0);
    words->is_test |= is_option(argv[i], "test-only", 0);
    words->is_parsable |= is_option(argv[i], "parsable", 0);
    words->is_quiet |= is_option(argv[i], "quiet", 'Q');
    words->is_behind |= is_option(argv[i], "dependency", 'd');
    if (is_of_submitting(argv[i])) {
        words->submit[words->n_submit++] = argv[i];
        return 1;
    }
    words->slurm[words->n_slurm++] = argv[i];
    if (has_value && access(argv[i + 1], F_OK) == 0) {
        words->taken_by = argv[i];
        words->taken = argv[i + 1];
    }
    if (has_value)
        words->slurm[words->n_slurm++] = argv[i + 1];
    return has_value ? 2 : 1;
}

/* Returns how many words were taken, or -errno. */
static int take(char **argv, int i, struct mf_batch_words *words, struct mf_error *err)
{
    const struct mf_option *own;
    size_t index = 0;

    if (argv[i][0] != '-' || argv[i][1] == '\0') {
        words->run[words->n_run++] = argv[i];
        return 1;
    }
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
        words->is_help = true;
        return 1;
    }
    own = find_own(argv[i], &index);
    return own ? take_own(argv, i, own, index, words, err) : take_slurm(argv, i, words, err);
}

/* Each job of a chain submits the next as it begins: it must not wait for its end. */
static int check_chain(const struct mf_batch_words *words, struct mf_error *err)
{
    if (words->is_chain && words->is_waiting)
        return mf_error_set(err, -EINVAL,
                            "--wait (or SBATCH_WAIT): each job of a chain would wait for the one "
                            "that follows it, and that for its end");
    if (words->is_chain && words->is_requeued)
        return mf_error_set(err, -EINVAL,
                            "--requeue: a job of a chain that began again would be there twice, as "
                            "another one follows it already");
    return 0;
}

int mf_batch_sort(int argc, char **argv, struct mf_batch_words *words, struct mf_error *err)
{
    static char name[] = "run";
    int i = 1;

    *words = (struct mf_batch_words){0};
    words->slurm = calloc((size_t)argc + 1, sizeof(*words->slurm));
    words->submit = calloc((size_t)argc + 1, sizeof(*words->submit));
    words->run = calloc((size_t)argc + 2, sizeof(*words->run));
    if (!words->slurm || !words->submit || !words->run)
        return mf_error_set(err, -ENOMEM, "out of memory");
    words->run[words->n_run++] = name;
    while (i < argc && strcmp(argv[i], "--") != 0) {
        int n = take(argv, i, words, err);

        if (n < 0)
            return n;
        i += n;
    }
    for (i++; i < argc; i++)
        words->run[words->n_run++] = argv[i];
    words->is_waiting |= getenv("SBATCH_WAIT") != NULL;
    return check_chain(words, err);
}

void mf_batch_words_finish(struct mf_batch_words *words)
{
    free(words->slurm);
    free(words->submit);
    free(words->run);
    *words = (struct mf_batch_words){0};
}
