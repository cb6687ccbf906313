// Config -> YAML: the visitor that writes.
#include <array>
#include <cstdlib>
#include <string_view>

#include "config/byte_size.h"
#include "config/duration.h"
#include "config/loader.h"
#include "config/schema.h"

namespace sluice {
namespace {

bool IsPlainChar(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("._/:-").find(c) != std::string_view::npos;
}

// True when YAML, read by us or by anybody else, sees this very text without quotes.
bool IsPlain(const std::string& text) {
  constexpr std::array<std::string_view, 7> kWords = {"null", "true", "false", "yes",
                                                      "no",   "y",    "n"};
  if (text.empty() || text.back() == ':' || text[0] == '-' || text[0] == ':') return false;
  std::string lower;
  for (const char c : text) {
    if (!IsPlainChar(c)) return false;
    lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  for (const std::string_view word : kWords) {
    if (lower == word) return false;
  }
  // "1.5" or "0x10" would be a number, "---" and "..." ends of a document.
  char* end = nullptr;
  std::strtod(text.c_str(), &end);
  return *end != '\0' && !text.starts_with("..");
}

std::string Scalar(const std::string& text) {
  if (IsPlain(text)) return text;
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (c == '\n') {
      quoted += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      quoted += "\\x";
      quoted += kHex[byte >> 4];
      quoted += kHex[byte & 15];
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

class Writer final : public FieldVisitor {
 public:
  std::string TakeText() { return std::move(text_); }

  void Time(std::string_view name, Duration& value, Duration) override {
    Line(name, FormatDuration(value));
  }
  void Flag(std::string_view name, bool& value) override { Line(name, value ? "true" : "false"); }
  void Text(std::string_view name, std::string& value, const TextRule&,
            const FieldOptions&) override {
    Line(name, Scalar(value));
  }
  void Texts(std::string_view name, std::vector<std::string>& values, const TextRule&,
             const FieldOptions&) override {
    std::string list;
    for (const std::string& value : values) list += (list.empty() ? "" : ", ") + Scalar(value);
    Line(name, "[" + list + "]");
  }

  void Fields(std::string_view name, std::vector<std::pair<std::string, std::string>>& fields, bool,
              const TextRule&) override {
    Line(name, fields.empty() ? "{}" : "");
    ++depth_;
    for (size_t i = 0; i < fields.size();) {
      // Values of one name stand together: only a list of them can make several.
      size_t end = i;
      std::string values;
      for (; end < fields.size() && fields[end].first == fields[i].first; ++end) {
        values += (end == i ? "" : ", ") + Scalar(fields[end].second);
      }
      Line(Scalar(fields[i].first), end - i == 1 ? values : "[" + values + "]");
      i = end;
    }
    --depth_;
  }

 protected:
  void DoNumber(std::string_view name, uint64_t& value, const NumberRule& rule,
                const void*) override {
    if (value == 0 && !rule.word_for_zero.empty())
      return Line(name, std::string(rule.word_for_zero));
    Line(name, rule.unit == NumberUnit::kBytes ? FormatByteSize(value) : std::to_string(value));
  }
  void DoWord(std::string_view name, size_t& index, std::span<const std::string_view> words,
              const void*) override {
    Line(name, std::string(words[index]));
  }

  bool Wants(std::string_view, bool present, const void*) override { return present; }
  void BeginSection(std::string_view name, std::string_view) override {
    Line(name, "");
    ++depth_;
  }
  void EndSection() override { --depth_; }

  size_t BeginList(std::string_view name, size_t size, const FieldOptions&, const void*) override {
    Line(name, size == 0 ? "[]" : "");
    ++depth_;
    return size;
  }
  void BeginElement(size_t, std::string_view, const void*) override {
    ++depth_;
    dash_ = true;
  }
  void EndElement() override { --depth_; }
  void EndList() override { --depth_; }

  std::vector<size_t> Choose(const std::vector<Alternative>&, size_t current, bool) override {
    return {current};
  }

 private:
  // The first line of a list element carries its dash.
  void Line(std::string_view name, const std::string& value) {
    std::string indent(2 * depth_, ' ');
    if (dash_) indent[indent.size() - 2] = '-';
    dash_ = false;
    text_ += indent + std::string(name) + (value.empty() ? ":" : ": ") + value + "\n";
  }

  std::string text_;
  size_t depth_ = 0;
  bool dash_ = false;
};

}  // namespace

std::string DumpConfig(const Config& config) {
  Config copy = config;
  Writer writer;
  VisitConfig(writer, copy);
  return writer.TakeText();
}

}  // namespace sluice
