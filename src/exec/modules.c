/*
 * Loading modules, and finding their functions: see modules.h. Owned by the
 * rank; executor processes have copies, with the same addresses.
 */
#include "exec/modules.h"

#include "base/units.h"
#include "exec/module_call.h"
#include "exec/module_names.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Names that the library's own functions and a module's hooks have. */
#define OWN_PREFIX "mpifarm_"
#define INIT_HOOK "mpifarm_module_init"
#define FINISH_HOOK "mpifarm_module_finish"

struct module {
    char *path;
    void *handle;
    int (*init)(void);
    void (*finish)(void);
};

/* A function's name (in the registry) and number. */
struct name {
    const char *text;
    int number;
};

/**
 * @modules  n_modules of them
 * @names    of all functions, ascending
 */
struct mf_modules {
    struct mf_functions functions;
    struct module *modules;
    uint32_t n_modules;
    struct name *names;
    bool is_isolated;
};

/* --- hooks --- */

/* Where functions run, before the first. */
static int init_all(struct mpifarm *farm, void *user)
{
    const struct mf_modules *modules = user;

    if (modules->is_isolated && mf_module_call_capture() < 0)
        return 1;
    for (uint32_t i = 0; i < modules->n_modules; i++)
        if (modules->modules[i].init && modules->modules[i].init() != 0)
            return 1;
    return 0;
}

static void finish_all(struct mpifarm *farm, void *user)
{
    const struct mf_modules *modules = user;

    for (uint32_t i = modules->n_modules; i-- > 0;)
        if (modules->modules[i].finish)
            modules->modules[i].finish();
}

/* The only module that has an init hook, or NULL. */
static const char *blame(const struct mf_modules *modules)
{
    const char *path = NULL;

    for (uint32_t i = 0; i < modules->n_modules; i++) {
        if (!modules->modules[i].init)
            continue;
        if (path)
            return NULL;
        path = modules->modules[i].path;
    }
    return path;
}

void mf_modules_explain(const struct mf_modules *modules, int error, struct mf_error *err)
{
    const char *path = blame(modules);

    if (error == -ECANCELED)
        mf_error_set(err, error, "%s: " INIT_HOOK "() refused to work", path ? path : "a module");
    else if (error == -ECHILD)
        mf_error_set(err, error, "%s: " INIT_HOOK "() ends its process again and again",
                     path ? path : "a module");
    else
        mf_error_set(err, error, "cannot set up where functions run: %s", strerror(-error));
}

/* --- loading --- */

/* ISO C has no conversion from what dlsym() gives; POSIX says that the bytes are right. */
static void find_hooks(struct module *module)
{
    void *init = dlsym(module->handle, INIT_HOOK);
    void *finish = dlsym(module->handle, FINISH_HOOK);

    memcpy(&module->init, &init, sizeof(init));
    memcpy(&module->finish, &finish, sizeof(finish));
}

/* What is being added, and how many functions it has so far. */
struct adding {
    struct mf_modules *modules;
    struct module *module;
    uint32_t n_functions;
};

static bool is_for_tasks(const char *name)
{
    return strncmp(name, OWN_PREFIX, strlen(OWN_PREFIX)) != 0 && strcmp(name, "_init") != 0 &&
           strcmp(name, "_fini") != 0;
}

static int add_function(void *arg, const char *name)
{
    struct adding *adding = arg;
    int result;

    if (!is_for_tasks(name))
        return 0;
    adding->n_functions++;
    result = mf_functions_add(&adding->modules->functions, name, mf_module_call,
                              dlsym(adding->module->handle, name));
    /* An earlier module has the name; or it is too long to be said in a task file. */
    return result == -EEXIST || result == -EINVAL ? 0 : result;
}

static int refuse_load(const char *path, struct mf_error *err)
{
    const char *why = dlerror();

    if (!strchr(path, '/') && access(path, F_OK) == 0)
        return mf_error_set(err, -ELIBACC,
                            "cannot load a module: %s; the one in this directory is ./%s", why,
                            path);
    return mf_error_set(err, -ELIBACC, "cannot load a module: %s", why);
}

static int load(struct mf_modules *modules, const char *path, struct mf_error *err)
{
    struct module *module = &modules->modules[modules->n_modules];
    struct adding adding = {.modules = modules, .module = module};
    int result;

    module->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!module->handle)
        return refuse_load(path, err);
    module->path = strdup(path);
    if (!module->path)
        return -ENOMEM;
    modules->n_modules++;
    find_hooks(module);
    result = mf_module_names(module->handle, add_function, &adding);
    if (result == -ENOSPC)
        return mf_error_set(err, -ELIBACC, "module %s has too many functions", path);
    if (result == -ENOEXEC || (result == 0 && adding.n_functions == 0))
        return mf_error_set(err, -ELIBACC, "module %s has no function that tasks could call", path);
    return result;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

static int sort_names(struct mf_modules *modules)
{
    const struct mf_functions *functions = &modules->functions;

    modules->names = calloc(functions->n_items, sizeof(*modules->names));
    if (!modules->names)
        return -ENOMEM;
    for (uint32_t i = 0; i < functions->n_items; i++)
        modules->names[i] = (struct name){functions->items[i].name, (int)i};
    qsort(modules->names, functions->n_items, sizeof(*modules->names), compare_names);
    return 0;
}

int mf_modules_load(const char *const *paths, uint32_t n_paths, bool is_isolated,
                    struct mf_modules **ret_modules, struct mf_error *err)
{
    struct mf_modules *modules = calloc(1, sizeof(*modules));
    int result = modules ? 0 : -ENOMEM;

    if (modules) {
        modules->is_isolated = is_isolated;
        modules->functions.init = init_all;
        modules->functions.finish = finish_all;
        modules->functions.hook_user = modules;
        modules->modules = calloc(n_paths, sizeof(*modules->modules));
        result = modules->modules ? 0 : -ENOMEM;
    }
    for (uint32_t i = 0; result == 0 && i < n_paths; i++)
        result = load(modules, paths[i], err);
    if (result == 0)
        result = sort_names(modules);
    if (result < 0) {
        mf_modules_destroy(modules);
        return result == -ELIBACC ? result : mf_error_set(err, result, "%s", strerror(-result));
    }
    *ret_modules = modules;
    return 0;
}

void mf_modules_destroy(struct mf_modules *modules)
{
    if (!modules)
        return;
    for (uint32_t i = 0; i < modules->n_modules; i++)
        free(modules->modules[i].path);
    free(modules->modules);
    free(modules->names);
    mf_functions_finish(&modules->functions);
    free(modules);
}

/* --- finding --- */

const struct mf_functions *mf_modules_functions(const struct mf_modules *modules)
{
    return &modules->functions;
}

int mf_modules_find(const struct mf_modules *modules, const char *name)
{
    struct name wanted = {.text = name};
    const struct name *found = bsearch(&wanted, modules->names, modules->functions.n_items,
                                       sizeof(*modules->names), compare_names);

    return found ? found->number : -ENOENT;
}

/* The name that was meant, NULL for none or when memory is out. */
static const char *find_nearest(const struct mf_modules *modules, const char *name)
{
    uint32_t n = modules->functions.n_items;
    const char **names = calloc(n, sizeof(*names));
    const char *nearest;

    if (!names)
        return NULL;
    for (uint32_t i = 0; i < n; i++)
        names[i] = modules->names[i].text;
    nearest = mf_nearest(name, names, n);
    free(names);
    return nearest;
}

int mf_modules_check(void *arg, const char *name, struct mf_error *err)
{
    const struct mf_modules *modules = arg;
    const char *nearest;

    if (mf_modules_find(modules, name) >= 0)
        return 0;
    nearest = find_nearest(modules, name);
    if (nearest)
        return mf_error_set(err, -ENOENT, "no module has a function \"%s\": did you mean \"%s\"?",
                            name, nearest);
    return mf_error_set(err, -ENOENT, "no module has a function \"%s\"", name);
}
