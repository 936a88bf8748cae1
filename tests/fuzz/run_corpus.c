/* Stands in for libFuzzer: linked to a target, runs it once on each file that is named. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "r");
        char *data = NULL;
        size_t size;
        FILE *copy;
        int c;

        if (!file) {
            perror(argv[i]);
            return 1;
        }
        copy = open_memstream(&data, &size);
        while ((c = getc(file)) != EOF)
            putc(c, copy);
        fclose(file);
        fclose(copy);
        LLVMFuzzerTestOneInput((const uint8_t *)data, size);
        free(data);
    }
    return 0;
}
