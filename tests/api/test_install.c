/*
 * The library as it is installed: what it exports, its header from C and C++,
 * its pkg-config file. And the library's memory, by valgrind.
 */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

static void begin(void)
{
    t_enter_dir();
    unsetenv("MPIFARM_ISOLATE");
}

TestSuite(installed, .init = begin, .fini = t_leave_dir);

/* Installs into ./root, and lets pkg-config see it. */
static void install(void)
{
    struct t_result result =
        t_sh("meson install -C \"$T_BUILD_DIR\" --no-rebuild --destdir \"$PWD/root\" >log 2>&1 || "
             "{ cat log; exit 1; }; dirname \"$(find $PWD/root -name mpifarm.pc)\"");

    cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
    cr_assert(t_has(result.out, "/pkgconfig\n"), "there is no mpifarm.pc");
    result.out[strcspn(result.out, "\n")] = '\0';
    setenv("PKG_CONFIG_PATH", result.out, 1);
    setenv("PKG_CONFIG_SYSROOT_DIR", t_sh("printf %%s \"$PWD/root\"").out, 1);
}

Test(installed, only_what_the_header_declares_is_exported)
{
    struct t_result result =
        t_sh("nm -D --defined-only \"$T_BUILD_DIR/src/api/libmpifarm.so\" | awk '{print $3}' | "
             "grep -v '^_init$\\|^_fini$\\|^__' | sort >exported; "
             "sed 's|/\\*.*||' \"$T_SOURCE_DIR/include/mpifarm/mpifarm.h\" | "
             "sed -n 's/^MPIFARM_API .*[ *]\\(mpifarm_[a-z_]*\\)(.*/\\1/p' | sort >declared; "
             "wc -l <declared; diff declared exported");

    cr_assert(eq(int, result.status, 0), "%s", result.out);
    cr_assert(atoi(result.out) > 40, "%s declarations", result.out);
}

Test(installed, the_program_of_the_readme_builds_and_runs)
{
    struct t_result result =
        t_sh("awk '/^```c/ { n++; is_code = 1; next } /^```/ { is_code = 0 } is_code && n == 2' "
             "\"$T_SOURCE_DIR/README.md\" >square.c && "
             "export PKG_CONFIG_PATH=\"$T_BUILD_DIR/meson-uninstalled\" && "
             "cc $T_CFLAGS square.c -o square $(pkg-config --cflags --libs mpifarm) "
             "-Wl,-rpath,\"$T_BUILD_DIR/src/api\" && ./square");

    cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
    cr_assert(eq(str, result.out, "0 failed, 999 squared is 998001\n"), "%s", result.err);
}

Test(installed, a_c_program_builds_with_pkg_config_and_runs)
{
    struct t_result result;

    install();
    result = t_sh("cc -std=c11 -Wall -Wextra -Werror -Wno-unused-parameter $T_CFLAGS "
                  "\"$T_SOURCE_DIR/tests/api/hello.c\" -o hello "
                  "$(pkg-config --cflags --libs mpifarm) && "
                  "export LD_LIBRARY_PATH=$(pkg-config --variable=libdir mpifarm) && ./hello && "
                  "env ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 "
                  "mpirun --oversubscribe --bind-to none -n 2 ./hello");
    cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
    cr_assert(eq(str, result.out, "12 squared is 144\n12 squared is 144\n"), "%s", result.err);
}

Test(installed, a_cpp_program_builds_with_pkg_config_and_runs)
{
    struct t_result result;

    if (t_sh("command -v \"$T_CXX\"").status != 0)
        cr_skip_test("there is no C++ compiler");
    install();
    result = t_sh("$T_CXX -std=c++11 -Wall -Wextra -Werror -pedantic $T_CFLAGS "
                  "\"$T_SOURCE_DIR/tests/api/hello.cc\" -o hello "
                  "$(pkg-config --cflags --libs mpifarm) && "
                  "LD_LIBRARY_PATH=$(pkg-config --variable=libdir mpifarm) ./hello");
    cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
    cr_assert(eq(str, result.out, "mpifarm\n"));
}

/* In one process MPI is not used, so that nothing of it has to be passed over. */
Test(installed, valgrind_finds_no_leak_and_no_error)
{
    struct t_result result;

    if (*getenv("T_CFLAGS") || t_sh("command -v valgrind").status != 0)
        cr_skip_test("valgrind is not there, or does not go with sanitizers");
    result = t_sh("timeout 600 valgrind -q --leak-check=full --show-leak-kinds=definite,indirect "
                  "--errors-for-leak-kinds=definite,indirect --error-exitcode=9 "
                  "api_program submitting waiting results callbacks children cancelling blocks");
    cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
    cr_assert(t_has(result.out, "\n1.."), "%s", result.out);
}
