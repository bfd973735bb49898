#include "described_spec.hpp"

#include "ramulator/dram/node.h"

namespace ramulator_bridge {
namespace {

using Ramulator::AddrVec_t;
using Ramulator::Clk_t;
using Ramulator::ConfigNode;
using Ramulator::DRAMNode;
using Ramulator::DRAMSpec;

constexpr const char *kStandard = "PimDescription";

void open_bank(DRAMNode *bank, int, const AddrVec_t &address, Clk_t) {
    bank->m_state = address[bank->m_level + 1];
}

void close_bank(DRAMNode *bank, int, const AddrVec_t &, Clk_t) { bank->m_state = kClosed; }

class DescribedSpec final : public DRAMSpec {
public:
    explicit DescribedSpec(const ConfigNode &config) {
        const ConfigNode dram = config["dram"];
        level_count = name_all(dram["levels"], levels, level_names);
        command_count = name_all(dram["commands"], commands, command_names);
        state_count = 1;
        states["Closed"] = kClosed;
        state_names = {"Closed"};
        timing_count = 0;
        // Ramulator looks these levels up by name: the deepest that has nodes, and the one below it
        levels["Bank"] = level_count - 3;
        levels["Row"] = level_count - 2;
        levels["Column"] = level_count - 1;
        init_states.assign(level_count, kClosed);
        supported_requests = {kNoCommand, kNoCommand};  // a description names no host reads or writes
        load_config(config);
        command_meta.resize(command_count);
        // One address may match one bank, the next all of them, so every command is of the kind All
        // and Ramulator matches the banks itself. No command is marked as opening: it would index a
        // bank by an address with -1 in it.
        bank_targets.assign(command_count, Ramulator::BankTarget::All);
        funcs.resize(command_count);
        const ConfigNode effects = dram["effects"], column_bus = dram["column_bus"];
        for (int i = 0; i < command_count; ++i)
            describe_command(i, effects.seq()[i].scalar(), column_bus.seq()[i].as<bool>());
    }

private:
    static constexpr int kNoCommand = -1;

    static int name_all(const ConfigNode &list, std::unordered_map<std::string, int> &numbers,
                        std::vector<std::string> &names) {
        for (const ConfigNode &name : list.seq()) {
            numbers[name.scalar()] = static_cast<int>(names.size());
            names.push_back(name.scalar());
        }
        return static_cast<int>(names.size());
    }

    void describe_command(int i, const std::string &effect, bool column_bus) {
        if (effect == "open") funcs.actions[i] = open_bank;
        if (effect == "close") funcs.actions[i] = close_bank;
        command_meta[i].is_closing = effect == "close";
        command_meta[i].is_column_command = column_bus;
        command_meta[i].is_row_command = !column_bus;
    }
};

const bool kRegistered = DRAMSpec::register_standard(
    kStandard, [](const ConfigNode &config) { return std::make_unique<DescribedSpec>(config); });

}  // namespace

std::unique_ptr<DRAMSpec> make_spec(const ConfigNode &config) { return DRAMSpec::create(kStandard, config); }

}  // namespace ramulator_bridge
