#!/usr/bin/env python3
"""Checks the direction of includes under src, and what the core links against.

    check_layers.py SRC CORE_LIBRARY BAD_LIBRARY

The checks run on the real tree, and on a bad example of each kind, which they
have to find. The result is TAP.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

ADAPTERS = ['wire', 'transport', 'taskfile', 'exec', 'journal', 'topo', 'report', 'control']
ABOVE_RUNTIME = ['base', 'core', *ADAPTERS]

# What a folder may include besides itself.
LAYERS = {
    'base': [],
    'core': ['base'],
    **{adapter: ['base', 'core'] for adapter in ADAPTERS},
    'runtime': ABOVE_RUNTIME,
    'api': [*ABOVE_RUNTIME, 'runtime'],
    'cli': [*ABOVE_RUNTIME, 'runtime'],
}

# Headers that one file uses, in the folder that hides them from all others.
CONFINED = {
    re.compile(r'mpi\.h$'): 'transport',
    re.compile(r'sqlite3\.h$'): 'journal',
    re.compile(r'hwloc(\.h$|/)'): 'topo',
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.MULTILINE)

# What a pure core may call: memory, strings, formatting, sorting, arithmetic, names of signals.
PURE = re.compile(r'''^(
    malloc|calloc|realloc|reallocarray|aligned_alloc|free
    |mem(cpy|move|set|cmp|chr|rchr|mem)
    |str(len|nlen|cmp|ncmp|casecmp|ncasecmp|chr|chrnul|rchr|str|spn|cspn|pbrk|cpy|ncpy|dup|ndup)
    |stpcpy|v?snprintf|qsort|qsort_r|bsearch
    |strto(l|ll|ul|ull|d)|__isoc23_strto\w+
    |strsignal|sig(descr|abbrev)_np
    |abort|__assert_fail|__errno_location
    |sqrt|log|log2|log1p|exp|pow|ceil|floor|round|fmin|fmax|l?lround
    |mf_(buffer|bundle|large|reader|error|heap|table|rng|command|shell|parse|format|nearest)\w*
    |_GLOBAL_OFFSET_TABLE_|__stack_chk_fail|__\w+_chk
    |__(asan|ubsan|lsan|tsan|sanitizer|sancov|gcov)_\w+
)$''', re.VERBOSE)


def find_bad_includes(src):
    """Sentences, one for each include that the table does not allow."""
    problems = []
    users = {}
    for path in sorted([*src.rglob('*.c'), *src.rglob('*.h')]):
        name = path.relative_to(src)
        layer = name.parts[0]
        if layer not in LAYERS:
            problems.append(f'{name}: no layer is called "{layer}"')
            continue
        for quote, header in INCLUDE.findall(path.read_text()):
            for pattern, folder in CONFINED.items():
                if pattern.match(header):
                    users.setdefault(folder, set()).add(str(name))
                    if layer != folder:
                        problems.append(f'{name}: <{header}> belongs to src/{folder} alone')
            if quote == '"':
                problems += check_own_header(name, layer, header)
    for folder, names in users.items():
        if len(names) > 1:
            problems.append(f'src/{folder}: its library is used in more than one file: '
                            + ', '.join(sorted(names)))
    return problems


def check_own_header(name, layer, header):
    target = header.split('/')[0]
    if '/' not in header or '..' in header:
        return [f'{name}: "{header}" should be written from src, as "{layer}/..."']
    if target != layer and target not in LAYERS[layer]:
        return [f'{name}: {layer} may not include "{header}"']
    return []


def run_nm(library, *options):
    output = subprocess.run(['nm', '--format=posix', *options, library], check=True,
                            stdout=subprocess.PIPE, text=True).stdout
    return {line.split()[0] for line in output.splitlines() if len(line.split()) >= 2}


def find_impure_symbols(library):
    """Undefined symbols of a library that it does not define itself and that are not pure."""
    unknown = run_nm(library, '--undefined-only') - run_nm(library, '--defined-only')
    return sorted(symbol for symbol in unknown if not PURE.match(symbol))


def count_symbols(library):
    return len(run_nm(library, '--defined-only'))


def problems_of_example(files):
    with tempfile.TemporaryDirectory() as directory:
        for name, text in files.items():
            path = pathlib.Path(directory, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return find_bad_includes(pathlib.Path(directory))


BAD_EXAMPLES = {
    'base includes core': {'base/a.c': '#include "core/farm.h"\n'},
    'core includes an adapter': {'core/policies/a.c': '#include "wire/message.h"\n'},
    'an adapter includes another': {'exec/a.h': '#  include "journal/journal.h"\n'},
    'an adapter includes the runtime': {'report/a.c': '#include "runtime/worker.h"\n'},
    'the runtime includes the command line': {'runtime/a.c': '#include "cli/cli.h"\n'},
    'the command line includes the library': {'cli/a.c': '#include "api/mpifarm.h"\n'},
    'mpi.h is outside of the transport': {'runtime/a.c': '#include <mpi.h>\n'},
    'sqlite3.h is in two files': {'journal/a.c': '#include <sqlite3.h>\n',
                                  'journal/b.c': '#include <sqlite3.h>\n'},
    'a header of hwloc is outside of topo': {'exec/a.c': '#include <hwloc/bitmap.h>\n'},
    'a path goes around the table': {'core/a.c': '#include "../wire/message.h"\n'},
    'a folder is no layer': {'misc/a.c': '\n'},
}

GOOD_EXAMPLE = {
    'base/a.c': '#include "base/b.h"\n#include <stdio.h>\n',
    'core/policies/a.c': '#include "core/task.h"\n#include "base/heap.h"\n',
    'transport/mpi.c': '#include "core/task.h"\n#include <mpi.h>\n',
    'runtime/a.c': '#include "journal/journal.h"\n/* #include is not "cli/cli.h" here */\n',
    'cli/a.c': '#include "runtime/worker.h"\n#include "topo/topo.h"\n',
}


class Tap:
    def __init__(self):
        self.n_tests = 0
        self.has_failed = False

    def report(self, name, problems):
        self.n_tests += 1
        self.has_failed |= bool(problems)
        print(f'{"not ok" if problems else "ok"} {self.n_tests} - {name}')
        for problem in problems:
            print(f'# {problem}')

    def finish(self):
        print(f'1..{self.n_tests}')
        return 1 if self.has_failed else 0


def main(src, core_library, bad_library):
    tap = Tap()
    tap.report('no include goes in the wrong direction', find_bad_includes(pathlib.Path(src)))
    tap.report('the core calls nothing but pure functions',
               [f'{core_library} needs {symbol}' for symbol in find_impure_symbols(core_library)])
    tap.report('the core that was looked at is not empty',
               [] if count_symbols(core_library) else ['it defines no symbol'])
    for name, files in BAD_EXAMPLES.items():
        tap.report(f'it is noticed when {name}',
                   [] if problems_of_example(files) else ['nothing was noticed'])
    tap.report('a tree in order is left alone', problems_of_example(GOOD_EXAMPLE))
    missed = {'clock_gettime', 'write', 'pthread_create'} - set(find_impure_symbols(bad_library))
    tap.report('it is noticed when a core uses clock, input or output, or threads',
               [f'{symbol} was not noticed' for symbol in sorted(missed)])
    return tap.finish()


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
