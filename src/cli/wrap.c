/* Wrapping plain text to columns, and cutting text into paragraphs. */
#include "cli/wrap.h"

#include <string.h>

static const char blanks[] = " \n";

/* Columns of UTF-8 text: bytes that do not continue a character. */
static unsigned width_of(const char *text, size_t length)
{
    unsigned width = 0;

    for (size_t i = 0; i < length; i++)
        width += ((unsigned char)text[i] & 0xc0) != 0x80;
    return width;
}

/* The next word of *text, which is moved to it; 0 at the end. */
static size_t next_word(const char **text, const char *end)
{
    size_t n = 0;

    while (*text < end && strchr(blanks, **text))
        (*text)++;
    while (*text + n < end && !strchr(blanks, (*text)[n]))
        n++;
    return n;
}

void mf_wrap_words(const char *text, size_t length, unsigned used, unsigned indent,
                   unsigned columns, FILE *file)
{
    const char *end = text + length;
    unsigned column = used;
    size_t n;

    /* What stands on the line reaches into the text's part of it. */
    if (used > 0 && used >= indent) {
        fputc('\n', file);
        column = 0;
    }
    for (int is_first = 1; (n = next_word(&text, end)) > 0; is_first = 0) {
        unsigned width = width_of(text, n);

        if (!is_first && column + 1 + width > columns) {
            fputc('\n', file);
            column = 0;
        } else if (!is_first) {
            fputc(' ', file);
            column++;
        }
        if (column < indent) {
            fprintf(file, "%*s", (int)(indent - column), "");
            column = indent;
        }
        fwrite(text, 1, n, file);
        column += width;
        text += n;
    }
    fputc('\n', file);
}

int mf_block_next(const char **cursor, struct mf_block *ret_block)
{
    const char *text = *cursor, *end;

    ret_block->starts_group = 0;
    while (*text == '\n') {
        ret_block->starts_group = 1;
        text++;
    }
    if (!*text)
        return 0;

    ret_block->text = text;
    ret_block->is_verbatim = strncmp(text, "  ", 2) == 0;
    for (end = text + strcspn(text, "\n"); !ret_block->is_verbatim && *end;
         end += 1 + strcspn(end + 1, "\n"))
        if (end[1] == '\n' || strncmp(end + 1, "  ", 2) == 0)
            break;
    ret_block->length = (size_t)(end - text);
    *cursor = *end ? end + 1 : end;
    return 1;
}

void mf_wrap_paragraphs(const char *text, unsigned indent, unsigned columns, FILE *file)
{
    const char *cursor = text;
    struct mf_block block;

    while (mf_block_next(&cursor, &block)) {
        if (block.starts_group)
            fputc('\n', file);
        if (block.is_verbatim)
            fprintf(file, "%*s%.*s\n", (int)indent, "", (int)block.length, block.text);
        else
            mf_wrap_words(block.text, block.length, 0, indent, columns, file);
    }
}
