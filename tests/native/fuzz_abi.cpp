// libFuzzer's entry: every input is one case of abi_case.hpp.
#include "abi_case.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    pyramulator_tests::run_case(data, size);
    return 0;
}
