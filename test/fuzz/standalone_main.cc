// Runs one fuzz target without libFuzzer, so that every build and every CI run exercises every
// parser.
//
//   fuzz_<name> [FILE|DIRECTORY]...
//
// Each given file is run once; then SLUICE_FUZZ_RUNS (default 5000) mutations of them, drawn from
// SLUICE_FUZZ_SEED (default 1). Runs are reproducible: the same seed and corpus give the same
// inputs. An input that crashes the target is written to crash-<seed>-<run> in the working
// directory; give that file to the same program to replay it.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
// Present in sanitized builds only: called before the report ends the process.
extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());

namespace {

constexpr size_t kMaxInputBytes = 64 * 1024;
constexpr size_t kMaxMutations = 6;

// What a crash handler needs must be reachable without allocating.
std::string current_input;
std::array<char, 64> crash_file;

void SaveCurrentInput() {
  const int fd = open(crash_file.data(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (fd < 0) return;
  bool written = write(fd, current_input.data(), current_input.size()) >= 0;
  close(fd);
  const char* const said[] = {written ? "input saved to " : "could not write ", crash_file.data(),
                              "\n"};
  for (const char* text : said) written = write(STDERR_FILENO, text, std::strlen(text)) > 0;
}

void OnFatalSignal(int signal_number) {
  SaveCurrentInput();
  // The handler was installed with SA_RESETHAND: this time the default action ends the process.
  raise(signal_number);
}

void SaveInputOnCrash() {
  struct sigaction action = {};
  action.sa_handler = OnFatalSignal;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGABRT, &action, nullptr);
  // A sanitizer handles the other signals itself, and reports more than we could.
  if (__sanitizer_set_death_callback != nullptr) {
    __sanitizer_set_death_callback(SaveCurrentInput);
    return;
  }
  for (int signal_number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
    sigaction(signal_number, &action, nullptr);
  }
}

void Run(std::string input, uint64_t seed, uint64_t run) {
  current_input = std::move(input);
  std::snprintf(crash_file.data(), crash_file.size(), "crash-%llu-%llu",
                static_cast<unsigned long long>(seed), static_cast<unsigned long long>(run));
  // A copy of exactly the input's size, so that AddressSanitizer sees a read one byte past its end.
  const std::vector<uint8_t> exact(current_input.begin(), current_input.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

class Mutator {
 public:
  Mutator(const std::vector<std::string>& corpus, uint64_t seed) : corpus_(corpus), random_(seed) {}

  std::string Next() {
    std::string input = corpus_[Below(corpus_.size())];
    for (size_t left = 1 + Below(kMaxMutations); left > 0; --left) MutateOnce(input);
    if (input.size() > kMaxInputBytes) input.resize(kMaxInputBytes);
    return input;
  }

 private:
  size_t Below(size_t bound) { return bound == 0 ? 0 : random_() % bound; }

  // Bytes on which parsers of text protocols and of lengths tend to turn.
  char InterestingByte() {
    static constexpr char kBytes[] = "\r\n\t :;,=/?#%\"\\0129aAfFxzZ-{}[]|\x7f\x80\xff";
    // Its length counts the closing NUL, which is interesting too.
    return Below(4) == 0 ? static_cast<char>(random_()) : kBytes[Below(sizeof(kBytes))];
  }

  void MutateOnce(std::string& input) {
    const size_t at = Below(input.size());
    const size_t length = std::min(1 + Below(32), input.size() - at);
    switch (Below(input.empty() ? 2 : 7)) {
      case 0:
        input.insert(at, 1, InterestingByte());
        break;
      case 1: {  // Splice: continue with the tail of another input.
        const std::string& other = corpus_[Below(corpus_.size())];
        input.resize(at);
        input.append(other, Below(other.size() + 1));
        break;
      }
      case 2:
        input[at] = InterestingByte();
        break;
      case 3:
        input[at] = static_cast<char>(input[at] ^ (1 << Below(8)));
        break;
      case 4:
        input.erase(at, length);
        break;
      case 5:  // Repeat a piece: duplicate headers, digits, chunks.
        input.insert(Below(input.size() + 1), input.substr(at, length));
        break;
      case 6:
        input.resize(at);
        break;
    }
  }

  const std::vector<std::string>& corpus_;
  std::mt19937_64 random_;
};

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<std::string> ReadCorpus(int argc, char** argv) {
  std::vector<std::filesystem::path> paths;
  for (int i = 1; i < argc; ++i) {
    if (std::filesystem::is_directory(argv[i])) {
      for (const auto& entry : std::filesystem::directory_iterator(argv[i])) paths.push_back(entry);
    } else if (std::filesystem::exists(argv[i])) {
      paths.emplace_back(argv[i]);
    }
  }
  // A directory is listed in no particular order, and runs must be reproducible.
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> corpus;
  for (const auto& path : paths) corpus.push_back(ReadFile(path));
  return corpus;
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t seed = FromEnvironment("SLUICE_FUZZ_SEED", 1);
  const uint64_t runs = FromEnvironment("SLUICE_FUZZ_RUNS", 5000);
  SaveInputOnCrash();

  std::vector<std::string> corpus = ReadCorpus(argc, argv);
  const size_t read = corpus.size();
  corpus.emplace_back();
  for (const std::string& input : corpus) Run(input, seed, 0);

  Mutator mutator(corpus, seed);
  for (uint64_t run = 1; run <= runs; ++run) Run(mutator.Next(), seed, run);
  std::printf("%zu inputs of the corpus and %llu mutations (seed %llu) passed\n", read,
              static_cast<unsigned long long>(runs), static_cast<unsigned long long>(seed));
  return 0;
}
