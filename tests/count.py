#!/usr/bin/env python3
"""Counts the tests of `meson test` one by one and names those that failed.

    count.py [--need PROGRAM] BUILD_DIR...

Criterion programs and scripts report their tests by TAP; a program without
subtests counts as one test. A program that crashed, ran out of time, or reported
no test counts as one more that failed, and so does a directory without results.
Tests that were skipped are named; those of a program that is needed count as failed.
The last line is "N passed, N failed"; the exit status is 0 if some passed and
none failed.
"""

import argparse
import json
import pathlib
import sys
import xml.etree.ElementTree

GOOD = {'OK', 'EXPECTEDFAIL', 'SKIP'}


def read_programs(build_dir):
    """Result of each test program."""
    log = pathlib.Path(build_dir, 'meson-logs', 'testlog.json')
    with log.open() as lines:
        return [json.loads(line) for line in lines]


def outcome_of(case):
    if case.find('skipped') is not None:
        return 'skipped'
    return 'passed' if case.find('failure') is None and case.find('error') is None else 'failed'


def read_subtests(build_dir):
    """The cases of each program that reports some, as pairs of name and outcome."""
    log = pathlib.Path(build_dir, 'meson-logs', 'testlog.junit.xml')
    suites = {}
    for suite in xml.etree.ElementTree.parse(log).getroot():
        cases = suites.setdefault(suite.get('name').split('.', 1)[-1], [])
        cases += [(case.get('name'), outcome_of(case)) for case in suite.findall('testcase')]
    return suites


def count_program(program, cases):
    """How many passed, and a sentence for each that failed."""
    name, result = program['name'], program['result']
    failures = [f'{name}: {case}' for case, outcome in cases if outcome == 'failed']
    n_passed = sum(outcome == 'passed' for _, outcome in cases)
    was_cut_off = result in ('TIMEOUT', 'INTERRUPT') or program['returncode'] < 0
    if failures and not was_cut_off:
        return n_passed, failures
    if result not in GOOD:
        failures.append(f'{name}: {result.lower()}, exit status {program["returncode"]}')
    elif not cases and result == 'SKIP':
        failures.append(f'{name}: reported no test')
    elif not cases:
        n_passed = 1
    return n_passed, failures


def count_directory(build_dir):
    """How many passed, and sentences for those that failed and those that were skipped."""
    try:
        programs, suites = read_programs(build_dir), read_subtests(build_dir)
    except (OSError, ValueError, xml.etree.ElementTree.ParseError) as error:
        return 0, [f'no results: {error}'], []
    n_passed, failures, skips = 0, [], []
    for program in programs:
        cases = suites.get(program['name'], [])
        n, failed = count_program(program, cases)
        n_passed += n
        failures += failed
        skips += [f'{program["name"]}: {case}' for case, outcome in cases if outcome == 'skipped']
    if not programs:
        failures.append('no test was run')
    return n_passed, failures, skips


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--need', metavar='PROGRAM')
    parser.add_argument('build_dirs', nargs='+')
    args = parser.parse_args()
    n_passed = n_failed = 0
    for build_dir in args.build_dirs:
        n, failures, skips = count_directory(build_dir)
        n_passed += n
        n_failed += len(failures) + sum(skip.startswith(f'{args.need}: ') for skip in skips)
        for failure in failures:
            print(f'FAILED in {build_dir}: {failure}')
        for skip in skips:
            print(f'SKIPPED in {build_dir}: {skip}')
    print(f'{n_passed} passed, {n_failed} failed')
    return 0 if n_passed > 0 and n_failed == 0 else 1


if __name__ == '__main__':
    sys.exit(main())
