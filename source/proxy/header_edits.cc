#include "proxy/header_edits.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "proxy/grammar.h"

namespace sluice {
namespace {

// RFC 9110 5.5: no control characters but the tab.
bool IsFieldValue(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= ' ' && byte != 0x7f);
  });
}

Result<HeaderId> CheckField(std::string_view name, std::string_view value) {
  if (!IsToken(name)) return Fail(fmt::format("\"{}\" is not a header name", name));
  if (!IsFieldValue(value)) {
    return Fail(fmt::format("the value of \"{}\" holds a control character", name));
  }
  const HeaderId id = LookupHeader(name);
  switch (id) {
    case HeaderId::kHost:
      return Fail("\"Host\" cannot be edited; use `host_rewrite`");
    case HeaderId::kConnection:
    case HeaderId::kContentLength:
    case HeaderId::kHttp2Settings:
    case HeaderId::kKeepAlive:
    case HeaderId::kProxyConnection:
    case HeaderId::kTe:
    case HeaderId::kTrailer:
    case HeaderId::kTransferEncoding:
    case HeaderId::kUpgrade:
      return Fail(fmt::format("\"{}\" cannot be edited; it describes the connection", name));
    default:
      return id;
  }
}

}  // namespace

Result<CompiledHeaderEdits> CompiledHeaderEdits::Compile(const HeaderEdits& edits) {
  CompiledHeaderEdits compiled;
  const auto add_to = [](std::vector<Edit>& list, const std::string& name,
                         const std::string& value) -> Result<void> {
    auto id = CheckField(name, value);
    if (!id) return tl::unexpected(id.error());
    list.push_back({*id, name, value});
    return {};
  };
  for (const std::string& name : edits.remove) {
    if (auto added = add_to(compiled.remove_, name, ""); !added) {
      return tl::unexpected(added.error());
    }
  }
  for (const auto& [name, value] : edits.set) {
    if (auto added = add_to(compiled.set_, name, value); !added) {
      return tl::unexpected(added.error());
    }
  }
  for (const auto& [name, value] : edits.add) {
    if (auto added = add_to(compiled.add_, name, value); !added) {
      return tl::unexpected(added.error());
    }
  }
  compiled.empty_ = edits.remove.empty() && edits.set.empty() && edits.add.empty();
  return compiled;
}

void CompiledHeaderEdits::ApplyAll(HeaderList& headers) const {
  for (const Edit& edit : remove_) {
    if (edit.id == HeaderId::kOther) {
      headers.Remove(edit.name);
    } else {
      headers.Remove(edit.id);
    }
  }
  for (const Edit& edit : set_) {
    if (edit.id == HeaderId::kOther) {
      headers.Set(edit.name, edit.value);
    } else {
      headers.Set(edit.id, edit.name, edit.value);
    }
  }
  for (const Edit& edit : add_) headers.Add(edit.id, edit.name, edit.value);
}

}  // namespace sluice
