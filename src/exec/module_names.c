/*
 * Reading the dynamic symbols of a library as the loader maps them (ELF gABI,
 * and the GNU hash table of binutils). Nothing is owned here; any thread.
 */
#include "exec/module_names.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What of a dynamic section is needed. */
struct tables {
    const ElfW(Sym) * symbols;
    const char *strings;
    const uint32_t *hash;
    const uint32_t *gnu_hash;
};

/* The loader has relocated the address, except where the section is read-only. */
static const void *at(const struct link_map *map, const ElfW(Dyn) * entry)
{
    uintptr_t address = entry->d_un.d_ptr;

    return (const void *)(address < map->l_addr ? map->l_addr + address : address);
}

static struct tables find_tables(const struct link_map *map)
{
    struct tables tables = {0};

    for (const ElfW(Dyn) *entry = map->l_ld; entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_SYMTAB)
            tables.symbols = at(map, entry);
        else if (entry->d_tag == DT_STRTAB)
            tables.strings = at(map, entry);
        else if (entry->d_tag == DT_HASH)
            tables.hash = at(map, entry);
        else if (entry->d_tag == DT_GNU_HASH)
            tables.gnu_hash = at(map, entry);
    }
    return tables;
}

/* The last symbol of the fullest bucket is the last of all; an odd hash ends a chain. */
static size_t count_gnu_hash(const uint32_t *hash)
{
    uint32_t n_buckets = hash[0], first = hash[1], n_bloom = hash[2];
    const uint32_t *buckets = hash + 4 + n_bloom * (sizeof(ElfW(Addr)) / sizeof(*hash));
    const uint32_t *chains = buckets + n_buckets;
    uint32_t last = 0;

    for (uint32_t i = 0; i < n_buckets; i++)
        if (buckets[i] > last)
            last = buckets[i];
    if (last < first)
        return first;
    while (!(chains[last - first] & 1))
        last++;
    return (size_t)last + 1;
}

static bool is_function(const ElfW(Sym) * symbol)
{
    unsigned type = ELF64_ST_TYPE(symbol->st_info);
    unsigned bind = ELF64_ST_BIND(symbol->st_info);
    unsigned visibility = ELF64_ST_VISIBILITY(symbol->st_other);

    return symbol->st_shndx != SHN_UNDEF && (type == STT_FUNC || type == STT_GNU_IFUNC) &&
           (bind == STB_GLOBAL || bind == STB_WEAK) &&
           (visibility == STV_DEFAULT || visibility == STV_PROTECTED);
}

int mf_module_names(void *handle, mf_module_name_fn fn, void *arg)
{
    struct link_map *map;
    struct tables tables;
    size_t n = 0;
    int result = 0;

    if (dlinfo(handle, RTLD_DI_LINKMAP, &map) < 0)
        return -ENOEXEC;
    tables = find_tables(map);
    if (!tables.symbols || !tables.strings)
        return -ENOEXEC;
    if (tables.hash)
        n = tables.hash[1];
    else if (tables.gnu_hash)
        n = count_gnu_hash(tables.gnu_hash);
    for (size_t i = 0; i < n && result >= 0; i++)
        if (is_function(&tables.symbols[i]))
            result = fn(arg, tables.strings + tables.symbols[i].st_name);
    return result < 0 ? result : 0;
}
