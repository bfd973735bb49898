// Choices made from bytes: a fuzzer's input, or those of a seeded generator.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace pyramulator_tests {

class Bytes {
public:
    Bytes(const uint8_t *data, size_t size) : at_(data), end_(data + size) {}

    bool empty() const { return at_ == end_; }
    // 0 once the bytes are used up.
    uint8_t byte() { return empty() ? 0 : *at_++; }
    // True with a probability of about `of_256` / 256; false once the bytes are used up.
    bool chance(int of_256) { return !empty() && byte() < of_256; }

    // Any number from least to most; least once the bytes are used up.
    int64_t between(int64_t least, int64_t most) {
        const uint64_t span = static_cast<uint64_t>(most) - static_cast<uint64_t>(least);
        uint64_t drawn = 0;
        for (uint64_t left = span; left > 0; left >>= 8) drawn = drawn << 8 | byte();
        if (span != std::numeric_limits<uint64_t>::max()) drawn %= span + 1;
        return static_cast<int64_t>(static_cast<uint64_t>(least) + drawn);
    }

    template <typename T>
    const T &one_of(const std::vector<T> &all) {
        return all[static_cast<size_t>(between(0, static_cast<int64_t>(all.size()) - 1))];
    }

private:
    const uint8_t *at_;
    const uint8_t *end_;
};

}  // namespace pyramulator_tests
