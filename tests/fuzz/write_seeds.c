/* Writes the seeds of the fuzzers of messages and of records: "write_seeds DIR" makes DIR/message
 * and DIR/record, and prints the names of the files. */
#include "support/frames.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static void write_frame(void *arg, const char *name, const struct mf_buffer *frame)
{
    char path[PATH_MAX];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", (const char *)arg, name);
    file = fopen(path, "w");
    if (mf_buffer_status(frame) < 0 || !file ||
        fwrite(frame->data, 1, frame->size, file) != frame->size || fclose(file) != 0) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    puts(path);
}

int main(int argc, char **argv)
{
    char messages[PATH_MAX - 256], records[PATH_MAX - 256];

    if (argc != 2)
        return EXIT_FAILURE;
    snprintf(messages, sizeof(messages), "%s/message", argv[1]);
    snprintf(records, sizeof(records), "%s/record", argv[1]);
    (void)mkdir(argv[1], 0777);
    (void)mkdir(messages, 0777);
    (void)mkdir(records, 0777);
    t_frames_of_messages(write_frame, messages);
    t_frames_of_records(write_frame, records);
    return EXIT_SUCCESS;
}
