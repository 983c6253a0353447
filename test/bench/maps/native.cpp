// Hyperscan and RE2 on the rules and headers that regex.ts writes: the anchors of its figures.
//   native RULES KEYS     RULES: a line "flags<TAB>pattern" each; KEYS: length (32 bits, little endian) and bytes each
// Rules that an engine does not know are left out and counted.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>
#if __has_include(<hs/hs.h>)
#include <hs/hs.h>
#define WITH_HYPERSCAN
#endif
#if __has_include(<re2/set.h>)
#include <re2/re2.h>
#include <re2/set.h>
#define WITH_RE2
#endif

using Clock = std::chrono::steady_clock;

static double since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

struct Rule {
  std::string flags, pattern;
};

static bool has(const Rule& rule, char flag) { return rule.flags.find(flag) != std::string::npos; }

static void report(const char* name, size_t rules, size_t all, double ready, double first, double second, size_t keys,
                   size_t matches) {
  printf("%s: %zu of %zu rules ready in %.0f ms; unseen mail %.0f ns a header, again %.0f ns a header; %zu headers match\n",
         name, rules, all, ready, first * 1e6 / keys, second * 1e6 / keys, matches);
}

#ifdef WITH_HYPERSCAN
static int matched(unsigned, unsigned long long, unsigned long long, unsigned, void* context) {
  *static_cast<bool*>(context) = true;
  return 0;
}

static void withHyperscan(const std::vector<Rule>& rules, const std::vector<std::string>& keys) {
  auto start = Clock::now();
  std::vector<const char*> patterns;
  std::vector<unsigned> flags, ids;
  for (const auto& rule : rules) {
    unsigned set = HS_FLAG_SINGLEMATCH | (has(rule, 'i') ? HS_FLAG_CASELESS : 0) |
                   (has(rule, 's') ? HS_FLAG_DOTALL : 0) | (has(rule, 'm') ? HS_FLAG_MULTILINE : 0);
    hs_expr_info_t* info = nullptr;
    hs_compile_error_t* error = nullptr;
    bool known = hs_expression_info(rule.pattern.c_str(), set, &info, &error) == HS_SUCCESS;
    if (error) hs_free_compile_error(error);
    free(info);
    if (!known) continue;
    patterns.push_back(rule.pattern.c_str());
    flags.push_back(set | HS_FLAG_ALLOWEMPTY);
    ids.push_back(ids.size());
  }
  hs_database_t* database = nullptr;
  for (;;) {
    hs_compile_error_t* error = nullptr;
    if (hs_compile_multi(patterns.data(), flags.data(), ids.data(), patterns.size(), HS_MODE_BLOCK, nullptr, &database,
                         &error) == HS_SUCCESS)
      break;
    if (error->expression < 0) {
      printf("hyperscan: %s\n", error->message);
      return;
    }
    patterns.erase(patterns.begin() + error->expression);
    flags.erase(flags.begin() + error->expression);
    ids.pop_back();
    hs_free_compile_error(error);
  }
  double ready = since(start);
  hs_scratch_t* scratch = nullptr;
  hs_alloc_scratch(database, &scratch);
  double times[2];
  size_t matches = 0;
  for (double& time : times) {
    start = Clock::now();
    matches = 0;
    for (const auto& key : keys) {
      bool found = false;
      hs_scan(database, key.data(), key.size(), 0, scratch, matched, &found);
      matches += found;
    }
    time = since(start);
  }
  report("hyperscan", patterns.size(), rules.size(), ready, times[0], times[1], keys.size(), matches);
}
#endif

#ifdef WITH_RE2
static void withRe2(const std::vector<Rule>& rules, const std::vector<std::string>& keys) {
  auto start = Clock::now();
  RE2::Options options;
  options.set_encoding(RE2::Options::EncodingLatin1);
  options.set_log_errors(false);
  options.set_max_mem(64 << 20);
  RE2::Set set(options, RE2::UNANCHORED);
  size_t known = 0;
  for (const auto& rule : rules) {
    std::string prefix = "(?";
    for (char flag : std::string("ism"))
      if (has(rule, flag)) prefix += flag;
    known += set.Add(prefix == "(?" ? rule.pattern : prefix + ")" + rule.pattern, nullptr) >= 0;
  }
  if (!set.Compile()) {
    printf("re2: the set is too large\n");
    return;
  }
  double ready = since(start), times[2];
  size_t matches = 0;
  for (double& time : times) {
    start = Clock::now();
    matches = 0;
    for (const auto& key : keys) matches += set.Match(key, nullptr);
    time = since(start);
  }
  report("re2", known, rules.size(), ready, times[0], times[1], keys.size(), matches);
}
#endif

int main(int, char** argv) {
  std::vector<Rule> rules;
  std::ifstream text(argv[1]);
  for (std::string line; std::getline(text, line);) {
    auto tab = line.find('\t');
    rules.push_back({line.substr(0, tab), line.substr(tab + 1)});
  }
  std::ifstream file(argv[2], std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(file)), {});
  std::vector<std::string> keys;
  for (size_t at = 0; at + 4 <= bytes.size();) {
    auto byte = [&](size_t offset) { return static_cast<uint32_t>(static_cast<unsigned char>(bytes[at + offset])); };
    uint32_t length = byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24;
    keys.emplace_back(bytes, at + 4, length);
    at += 4 + length;
  }
#ifdef WITH_HYPERSCAN
  withHyperscan(rules, keys);
#endif
#ifdef WITH_RE2
  withRe2(rules, keys);
#endif
}
