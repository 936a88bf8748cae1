/* Wrapping plain text to columns. Borrows its texts; writes to a file. */
#ifndef MF_CLI_WRAP_H
#define MF_CLI_WRAP_H

#include <stddef.h>
#include <stdio.h>

/**
 * mf_wrap_words() - fill lines with the words of text.
 *
 * @used     columns that are already written on the current line
 * @indent   where further lines begin
 * @columns  width; a longer word stands alone on its line
 *
 * Ends with a newline.
 */
void mf_wrap_words(const char *text, size_t length, unsigned used, unsigned indent,
                   unsigned columns, FILE *file);

/**
 * One block of a text of paragraphs: a paragraph to be filled, or a line that
 * starts with two blanks and is kept as it is.
 *
 * @is_verbatim   keep the line (text is without its final newline)
 * @starts_group  an empty line precedes it
 */
struct mf_block {
    const char *text;
    size_t length;
    int is_verbatim;
    int starts_group;
};

/** The next block of *cursor, which is moved behind it. Returns 1, or 0 at the end. */
int mf_block_next(const char **cursor, struct mf_block *ret_block);

/** Writes paragraphs, an empty line between them, each line indented. */
void mf_wrap_paragraphs(const char *text, unsigned indent, unsigned columns, FILE *file);

#endif
