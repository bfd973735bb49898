// Drives the C ABI for a bounded time: wrong calls, generated cases, engines in threads.
//
//     driver cases|threads SECONDS SEED
//
// The seed gives the cases; the time, how many of them. Aborts where something does not hold; built with
// a sanitizer, its reports end the run too.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>

#include "abi_case.hpp"

using namespace pyramulator_tests;

namespace {

using Clock = std::chrono::steady_clock;

// One channel of two banks; a row command that opens, one that closes, an access, one that needs nothing.
class Tiny {
public:
    Tiny() {
        commands_[0].row_use = 2;
        commands_[1].row_use = 3;
        commands_[2].row_use = 1;
        commands_[2].opens = 0;
        for (pyr_command &command : commands_) {
            command.name = "command";
            command.scope = 1;
            command.cycles = 1;
            if (command.opens == 0 && command.row_use != 1) command.opens = -1;
            command.closes = command.row_use == 3 ? -1 : 1;
        }
        row_ = {1, 1, 0, 1, 1, &opens_, &access_, 5};
        description = {4, 4, 1, 0, -1, 0, -1, 0, names_, sizes_, commands_, &row_};
    }
    Tiny(const Tiny &) = delete;
    Tiny &operator=(const Tiny &) = delete;

    pyr_engine *make() const {
        pyr_engine *engine = nullptr;
        char message[200];
        if (pyr_create(&description, targets, 2, 0, 0, &engine, message, sizeof message) != PYR_OK) broken(message);
        return engine;
    }

    pyr_description description{};
    const int32_t targets[4] = {0, 0, 0, 1};

private:
    const char *names_[4] = {"Channel", "Bank", "Row", "Column"};
    const int32_t sizes_[4] = {1, 2, 16, 16};
    const int32_t opens_ = 0, access_ = 2;
    pyr_command commands_[4] = {};
    pyr_row row_{};
};

constexpr Record kAccess{2, 0, 3, 0, 0, 1};
constexpr Record kPlain{3, 0, 0, 0, 0, 1};
constexpr Record kOther{3, 1, 0, 0, 0, 1};

// A loop in a loop, 2^64 turns, of `body`.
std::vector<Record> endless(std::vector<Record> body) {
    const Record loop{kLoop, 0, 0, 0, 0, ~uint32_t{0}}, end{kEnd, 0, 0, 0, 0, 1};
    body.insert(body.begin(), {loop, loop});
    body.insert(body.end(), {end, end});
    return body;
}

// The records have to outlive the run.
int add(pyr_engine *engine, const std::vector<Record> &records) {
    return pyr_add_stream(engine, records.data(), static_cast<int64_t>(records.size()), 0);
}

void wrong_pointers(const Tiny &tiny) {
    pyr_engine *engine = nullptr;
    char message[8];
    pyr_description d = tiny.description;
    must(pyr_create(nullptr, tiny.targets, 2, 0, 0, &engine, message, 8) < 0, "no description");
    must(pyr_create(&d, nullptr, 2, 0, 0, &engine, message, 8) < 0, "no targets");
    must(pyr_create(&d, tiny.targets, 2, 0, 0, nullptr, message, 8) < 0, "nowhere to put the engine");
    for (int field = 0; field < 4; ++field) {
        d = tiny.description;
        if (field == 0) d.level_names = nullptr;
        if (field == 1) d.sizes = nullptr;
        if (field == 2) d.commands = nullptr;
        if (field == 3) d.rows = nullptr;
        must(pyr_create(&d, tiny.targets, 2, 0, 0, &engine, nullptr, 8) < 0, "a description with a hole");
        must(engine == nullptr, "a failure makes no engine");
    }
    engine = tiny.make();
    must(pyr_add_stream(engine, nullptr, 1, 0) < 0, "no records");
    must(pyr_add_stream(engine, nullptr, -1, 0) < 0, "fewer records than none");
    must(pyr_add_stream(engine, &kAccess, 1, -1) < 0, "a negative window");
    must(pyr_add_stream(engine, nullptr, 0, 0) == PYR_OK, "an empty stream");
    must(pyr_advance(engine, -1, INT64_MAX) == PYR_FINISHED, "nothing to do");
    must(pyr_summarise(engine, nullptr) < 0, "nowhere to put the summary");
    must(pyr_result(engine, nullptr, nullptr, nullptr, nullptr, nullptr) < 0, "nowhere to put the result");
    pyr_destroy(engine);
    pyr_destroy(nullptr);
}

void every_field_at_its_ends(const Tiny &tiny) {
    const size_t size = sizeof(Record);
    for (size_t byte = 0; byte < size; ++byte) {
        for (int value : {0x00, 0x01, 0x7F, 0x80, 0xFF}) {
            for (const Record &from : {kAccess, kPlain, Record{kLoop, 0, 1, 1, 0, 2}, Record{kBarrier, 0, 1, 0, 0, 1}}) {
                Record record = from;
                reinterpret_cast<unsigned char *>(&record)[byte] = static_cast<unsigned char>(value);
                const std::vector<Record> first{record, kPlain, {kEnd, 0, 0, 0, 0, 1}}, second{kAccess, record};
                pyr_engine *engine = tiny.make();
                add(engine, first);
                add(engine, second);
                pyr_advance(engine, 100, 1'000'000);
                pyr_destroy(engine);
            }
        }
    }
}

// What add_stream refuses leaves nothing behind, whatever is added after it.
void refused_streams(const Tiny &tiny) {
    const std::vector<Record> bad{kAccess, {kEnd, 0, 0, 0, 0, 1}}, good{kAccess, kPlain};
    for (int32_t window : {0, 1, 3}) {
        pyr_engine *engine = tiny.make();
        const auto add_window = [&](const std::vector<Record> &records) {
            return pyr_add_stream(engine, records.data(), static_cast<int64_t>(records.size()), window);
        };
        must(add_window(bad) == PYR_BAD_STREAM, "an end without a loop");
        must(add_window(good) == PYR_OK, "a stream after a refused one");
        must(add_window(bad) == PYR_BAD_STREAM, "an end without a loop, again");
        while (pyr_advance(engine, -1, 1'000'000) == PYR_PAUSED) {
        }
        pyr_summary summary;
        must(pyr_summarise(engine, &summary) == PYR_OK && summary.n_streams == 1, "one stream");
        must(summary.ticks == 7, "ACT at 1, its row's latency of 5, and one tick more");
        pyr_destroy(engine);
    }
}

void many(const Tiny &tiny) {
    constexpr size_t kDeep = 1'000'000;
    std::vector<Record> deep(kDeep, {kLoop, 0, 0, 0, 0, 1});
    deep.reserve(2 * kDeep + 2);  // records stay where they are
    deep.push_back(kPlain);
    pyr_engine *engine = tiny.make();
    must(add(engine, deep) == PYR_BAD_STREAM, "loops without an end");
    deep.resize(2 * kDeep + 1, {kEnd, 0, 0, 0, 0, 1});
    must(add(engine, deep) == PYR_OK, "a million loops");
    deep.push_back({kEnd, 0, 0, 0, 0, 1});
    must(add(engine, deep) == PYR_BAD_STREAM, "an end too many");
    const std::vector<Record> one{kPlain};
    for (int i = 1; i < 1024; ++i) must(add(engine, one) == PYR_OK, "1024 streams");
    must(add(engine, one) == PYR_BAD_STREAM, "a stream too many");
    while (pyr_advance(engine, -1, 1'000'000) == PYR_PAUSED) {
    }
    pyr_summary summary;
    must(pyr_summarise(engine, &summary) == PYR_OK && summary.ticks == 1024, "one command a tick");
    pyr_destroy(engine);
}

// A slice ends in time whatever the loops hold, and cancel is heard.
void no_end(const Tiny &tiny) {
    const Record barrier{kBarrier, 0, 1, 0, 0, 1}, stepping{kLoop, 0, INT32_MAX, 0, 0, 512};
    const std::vector<std::vector<Record>> bodies = {
        {kPlain}, {kPlain, kOther}, {barrier}, {stepping, barrier, {kEnd, 0, 0, 0, 0, 1}}};
    for (const auto &body : bodies) {
        const std::vector<Record> records = endless(body);
        pyr_engine *engine = tiny.make();
        must(add(engine, records) == PYR_OK, "an endless stream");
        const Clock::time_point start = Clock::now();
        for (int i = 0; i < 3; ++i) must(pyr_advance(engine, -1, 1'000'000) == PYR_PAUSED, "it goes on");
        must(Clock::now() - start < std::chrono::seconds(5), "a slice of a millisecond must end");
        std::thread other([engine] {
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
            pyr_cancel(engine);
        });
        must(pyr_advance(engine, -1, 0) == PYR_CANCELLED, "cancel must be heard");
        other.join();
        must(pyr_advance(engine, -1, 0) == PYR_MISUSE, "a cancelled run must not go on");
        pyr_destroy(engine);
    }
}

struct Tally {
    int64_t cases = 0, ended = 0;
};

Tally generated(uint64_t seed, Clock::time_point until) {
    std::mt19937_64 random(seed);
    Tally tally;
    std::vector<uint8_t> bytes;
    while (Clock::now() < until) {
        bytes.resize(16 + random() % 700);
        for (uint8_t &byte : bytes) byte = static_cast<uint8_t>(random());
        tally.ended += run_case(bytes.data(), bytes.size());
        ++tally.cases;
    }
    return tally;
}

}  // namespace

int main(int argc, char **argv) {
    const bool threads = argc == 4 && std::strcmp(argv[1], "threads") == 0;
    if (!threads && !(argc == 4 && std::strcmp(argv[1], "cases") == 0)) {
        std::fprintf(stderr, "usage: driver cases|threads SECONDS SEED\n");
        return 2;
    }
    const Clock::time_point until = Clock::now() + std::chrono::seconds(std::atoll(argv[2]));
    const uint64_t seed = std::strtoull(argv[3], nullptr, 10);
    const Tiny tiny;
    Tally all;
    if (!threads) {
        wrong_pointers(tiny);
        every_field_at_its_ends(tiny);
        refused_streams(tiny);
        many(tiny);
        no_end(tiny);
        all = generated(seed, until);
    } else {
        constexpr int kThreads = 4;
        Tally tallies[kThreads];
        std::vector<std::thread> running;
        for (int i = 0; i < kThreads; ++i)
            running.emplace_back([&, i] { tallies[i] = generated(seed + i, until); });
        do no_end(tiny);
        while (Clock::now() < until);
        for (std::thread &thread : running) thread.join();
        for (const Tally &one : tallies) {
            all.cases += one.cases;
            all.ended += one.ended;
        }
    }
    if (all.ended == 0) broken("no generated case came to its end");
    std::printf("%lld cases, %lld runs to their end\n", static_cast<long long>(all.cases),
                static_cast<long long>(all.ended));
    return 0;
}
