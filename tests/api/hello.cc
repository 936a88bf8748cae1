// The library from C++: functions without a capture, options, callbacks, results.
#include <mpifarm/mpifarm.h>

#include <cstdio>
#include <string>

static int reverse(mpifarm_context *context, void *)
{
    size_t size;
    const char *input = static_cast<const char *>(mpifarm_input(context, &size));
    std::string text(input, size);

    text = std::string(text.rbegin(), text.rend());
    return mpifarm_write(context, text.data(), text.size());
}

int main(int argc, char **argv)
{
    mpifarm_options options = {};
    mpifarm *farm = nullptr;

    options.isolation = MPIFARM_ISOLATION_OFF;
    if (mpifarm_init(&argc, &argv, &options, &farm) < 0)
        return 1;
    int function = mpifarm_register(farm, "reverse", reverse, nullptr);
    if (mpifarm_start(farm) == MPIFARM_CLIENT) {
        std::string heard;
        mpifarm_task_options task = mpifarm_task_options();

        task.delivery = MPIFARM_DELIVER_CALLBACK;
        // A function has the name of the struct too, so "struct" is needed.
        task.callback = [](mpifarm *, mpifarm_future, const struct mpifarm_result *result,
                           void *arg) {
            static_cast<std::string *>(arg)->assign(static_cast<const char *>(result->data),
                                                    result->size);
        };
        task.callback_arg = &heard;
        mpifarm_submit(farm, function, "mrafipm", 7, &task, nullptr);
        mpifarm_drain(farm, MPIFARM_FOREVER);
        std::printf("%s\n", heard.c_str());
    }
    return mpifarm_finish(farm) < 0;
}
