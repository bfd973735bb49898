#include "abi_case.hpp"

#include <algorithm>
#include <limits>

namespace pyramulator_tests {
namespace {

constexpr int kMaxBanks = 64;  // of what is well formed: larger trees take long and show nothing new

template <typename T>
T extreme(Bytes &bytes) {
    using Limits = std::numeric_limits<T>;
    static const std::vector<int64_t> common = {-2, -1, 0, 1, 2, 15, 16, 255, 256, 32767, -32768, 65535, 65536};
    static const std::vector<int64_t> wide = {
        int64_t{1} << 20, (int64_t{1} << 20) + 1, int64_t{1} << 31,       -(int64_t{1} << 31),
        int64_t{1} << 40, -(int64_t{1} << 40),    (int64_t{1} << 40) + 1, -(int64_t{1} << 40) - 1,
        int64_t{1} << 45, (int64_t{1} << 45) + 1, int64_t{1} << 62,       -(int64_t{1} << 62)};
    switch (bytes.byte() % 4) {
    case 0: return Limits::min();
    case 1: return Limits::max();
    case 2: return static_cast<T>(bytes.one_of(common));
    default: return static_cast<T>(bytes.one_of(wide));
    }
}

class Decoder {
public:
    Decoder(Bytes &bytes, Case &out) : bytes_(bytes), out_(out) {}

    void run() {
        static const std::vector<int> oddnesses = {0, 0, 2, 24};
        out_.oddness = bytes_.one_of(oddnesses);
        levels();
        commands();
        rows();
        refresh();
        targets();
        n_streams_ = static_cast<int>(bytes_.between(0, 5));
        for (int i = 0; i < n_streams_; ++i) stream();
    }

private:
    template <typename T>
    T number(int64_t least, int64_t most) {
        const int64_t ordinary = bytes_.between(least, most);
        return bytes_.chance(out_.oddness) ? extreme<T>(bytes_) : static_cast<T>(ordinary);
    }
    int32_t flag(int of_256) { return bytes_.chance(out_.oddness) ? extreme<int32_t>(bytes_) : bytes_.chance(of_256); }

    const char *name(std::string text) {
        out_.names.push_back(std::move(text));
        return out_.names.back().c_str();
    }

    void levels() {
        pyr_description &d = out_.description;
        out_.names.reserve(64);
        depth_ = static_cast<int>(bytes_.between(1, 6));
        int banks = 1;
        for (int level = 0; level < depth_ + 2; ++level) {
            const int most = level == 0 ? 1 : level >= depth_ ? 16 : std::max(1, std::min(4, kMaxBanks / banks));
            int32_t size = static_cast<int32_t>(bytes_.between(1, most));
            if (level >= depth_ && bytes_.chance(16)) size = std::numeric_limits<int32_t>::max();
            if (level < depth_) banks *= size;
            real_sizes_.push_back(size);
            // 2^20 banks are well formed, and one command on them takes longer than an input may
            if (bytes_.chance(out_.oddness)) size = std::max<int32_t>(extreme<int32_t>(bytes_), -1);
            if (level < depth_ && size > 16 && size <= (1 << 20)) size = 1 << 21;
            out_.sizes.push_back(size);
            out_.level_names.push_back(name("level" + std::to_string(level)));
        }
        d.n_levels = bytes_.chance(out_.oddness) ? static_cast<int32_t>(bytes_.between(-1, depth_ + 2)) : depth_ + 2;
        d.level_names = out_.level_names.data();
        d.sizes = out_.sizes.data();
        d.bus = number<int32_t>(0, 2);
    }

    // An OPEN and a CLOSE command, then others that name these two or each other.
    void commands() {
        pyr_description &d = out_.description;
        const int n = static_cast<int>(bytes_.between(1, 9));
        for (int i = 0; i < n; ++i) {
            pyr_command c{};
            c.name = name("c" + std::to_string(i));
            c.row_use = i == 0 ? 2 : i == 1 ? 3 : number<int32_t>(0, 4);
            c.scope = number<int32_t>(i == 0 ? depth_ - 1 : 0, depth_ + 1);
            c.slot = number<int32_t>(0, 1);
            c.cycles = number<int32_t>(1, 4);
            c.opens = c.row_use == 1 && !bytes_.chance(8) ? opener(c.scope) : -1;
            c.closes = n > 1 && c.row_use != 3 && !bytes_.chance(8) ? 1 : -1;
            if (bytes_.chance(out_.oddness)) c.opens = extreme<int32_t>(bytes_);
            if (bytes_.chance(out_.oddness)) c.closes = extreme<int32_t>(bytes_);
            c.falling_edge = c.slot == 0 ? flag(128) : flag(0);
            c.auto_precharge = c.row_use == 1 ? flag(64) : flag(0);
            c.refresh = (c.row_use == 0 || c.row_use == 4) ? flag(160) : flag(0);
            c.completion = bytes_.chance(8) ? bytes_.between(0, int64_t{1} << 40) : number<int64_t>(0, 40);
            out_.commands.push_back(c);
        }
        d.n_commands = static_cast<int32_t>(n);
        if (bytes_.chance(out_.oddness)) d.n_commands = static_cast<int32_t>(bytes_.between(-1, n));
        d.commands = out_.commands.data();
    }

    int32_t opener(int32_t scope) {
        for (int32_t i = static_cast<int32_t>(out_.commands.size()) - 1; i > 0; --i)
            if (out_.commands[i].row_use == 2 && out_.commands[i].scope >= scope && bytes_.chance(128)) return i;
        return 0;
    }

    void list(int32_t &n, const int32_t *&at) {
        auto values = std::make_unique<std::vector<int32_t>>();
        const int length = static_cast<int>(bytes_.between(1, 4)) - (bytes_.chance(8) ? 1 : 0);
        const int64_t last = static_cast<int64_t>(out_.commands.size()) - 1;
        for (int i = 0; i < length; ++i) values->push_back(number<int32_t>(0, last));
        n = static_cast<int32_t>(length);
        if (bytes_.chance(out_.oddness)) n = std::min(n, extreme<int32_t>(bytes_));
        at = values->data();
        out_.lists.push_back(std::move(values));
    }

    void rows() {
        pyr_description &d = out_.description;
        const int n = static_cast<int>(bytes_.between(0, 12));
        for (int i = 0; i < n; ++i) {
            pyr_row r{};
            r.level = number<int32_t>(0, std::max<int32_t>(0, d.refresh_scope));
            r.window = bytes_.chance(64) ? static_cast<int32_t>(bytes_.between(2, 6)) : 1;
            if (bytes_.chance(out_.oddness)) r.window = extreme<int32_t>(bytes_);
            if (r.window > 65536 && r.window <= (1 << 20)) r.window = 1024;  // ends quickly, needs little memory
            r.sibling = r.level > 0 && r.window == 1 ? flag(64) : flag(0);
            list(r.n_preceding, r.preceding);
            list(r.n_following, r.following);
            r.latency = bytes_.chance(8) ? bytes_.between(-(int64_t{1} << 40), int64_t{1} << 40)
                                         : number<int64_t>(-3, 30);
            out_.rows.push_back(r);
        }
        d.n_rows = static_cast<int32_t>(n);
        if (bytes_.chance(out_.oddness)) d.n_rows = static_cast<int32_t>(bytes_.between(-1, n));
        d.rows = out_.rows.data();
    }

    void refresh() {
        pyr_description &d = out_.description;
        d.refresh_command = -1;
        if (!bytes_.chance(140)) return;
        for (size_t i = 0; i < out_.commands.size(); ++i)
            if (out_.commands[i].refresh != 0 && out_.commands[i].row_use % 4 == 0)
                d.refresh_command = static_cast<int32_t>(i);
        if (d.refresh_command >= 0)
            d.refresh_scope = std::min<int32_t>(out_.commands[d.refresh_command].scope, depth_ - 1);
        d.refresh_in_turn = bytes_.chance(128) ? d.refresh_scope : number<int32_t>(0, std::max<int32_t>(0, d.refresh_scope));
        d.refresh_interval = bytes_.chance(16) ? bytes_.between(1, int64_t{1} << 40) : number<int64_t>(1, 600);
        if (bytes_.chance(out_.oddness)) d.refresh_command = extreme<int32_t>(bytes_);
        if (bytes_.chance(out_.oddness)) d.refresh_scope = extreme<int32_t>(bytes_);
    }

    void targets() {
        out_.n_targets = bytes_.between(0, 6);
        for (int64_t i = 0; i < out_.n_targets; ++i)
            for (int level = 0; level < depth_; ++level)
                out_.targets.push_back(bytes_.chance(70) ? -1 : number<int32_t>(0, real_sizes_[level] - 1));
        if (bytes_.chance(out_.oddness)) out_.n_targets = bytes_.chance(128) ? -1 : 65537;
        // the ABI's caller owes n_targets rows; where it refuses the number it may not look at them
        if (out_.description.n_levels != depth_ + 2 && out_.n_targets > 0 && out_.n_targets < 65537)
            out_.targets.resize(static_cast<size_t>(out_.n_targets) * 6, 0);
    }

    void stream() {
        std::vector<Record> records;
        const int n = static_cast<int>(bytes_.between(0, 12));
        int open = 0;
        for (int i = 0; i < n; ++i) {
            Record r{};
            const int what = bytes_.byte() % 16;
            r.command = what == 0 && open < 4 ? kLoop : what == 1 && open > 0 ? kEnd : what == 2 ? kBarrier : 0;
            if (r.command == 0) r.command = number<uint16_t>(0, static_cast<int64_t>(out_.commands.size()) - 1);
            r.target = number<uint16_t>(0, std::max<int64_t>(out_.n_targets - 1, 0));
            r.row = number<int32_t>(0, r.command == kBarrier || r.command == kLoop ? 1 : std::min(4, real_sizes_[depth_] - 1));
            r.column = number<int16_t>(0, 20);
            r.column_step = number<int16_t>(0, 1);
            r.count = bytes_.chance(6) ? extreme<uint32_t>(bytes_) : number<uint32_t>(1, 5);
            if (r.command == kLoop && r.row < 0) r.row = 0;
            open += r.command == kLoop;
            if (r.command == kEnd) {
                if (open == 0 && out_.oddness == 0) continue;
                --open;
            }
            records.push_back(r);
        }
        for (; open > 0 && !bytes_.chance(out_.oddness); --open) {
            records.push_back({0, 0, 0, 0, 0, 1});  // the loop may still be empty
            records.push_back({kEnd, 0, 0, 0, 0, 1});
        }
        out_.streams.push_back(std::move(records));
        int32_t window = bytes_.chance(50) ? static_cast<int32_t>(bytes_.between(1, 5)) : 0;
        if (bytes_.chance(out_.oddness)) window = extreme<int32_t>(bytes_);
        out_.windows.push_back(window);
    }

    Bytes &bytes_;
    Case &out_;
    int depth_ = 1;
    int n_streams_ = 0;
    std::vector<int32_t> real_sizes_;
};

}  // namespace

void decode(Bytes &bytes, Case &out) { Decoder(bytes, out).run(); }

}  // namespace pyramulator_tests
