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
  return Compile(edits, false);
}

Result<CompiledHeaderEdits> CompiledHeaderEdits::CompileTemplates(const HeaderEdits& edits) {
  return Compile(edits, true);
}

Result<CompiledHeaderEdits> CompiledHeaderEdits::Compile(const HeaderEdits& edits, bool templates) {
  CompiledHeaderEdits compiled;
  const auto add_to = [templates](std::vector<Edit>& list, const std::string& name,
                                  const std::string& value) -> Result<void> {
    auto edit = CompileEdit(name, value, templates);
    if (!edit) return tl::unexpected(edit.error());
    list.push_back(*std::move(edit));
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

Result<CompiledHeaderEdits::Edit> CompiledHeaderEdits::CompileEdit(const std::string& name,
                                                                   const std::string& value,
                                                                   bool templates) {
  auto id = CheckField(name, value);
  if (!id) return tl::unexpected(id.error());
  if (!templates || value.find('%') == std::string::npos) return Edit{*id, name, value, {}};
  auto placeholders = HeaderTemplate::Compile(value);
  if (!placeholders) {
    return Fail(fmt::format("the value of \"{}\": {}", name, placeholders.error().message));
  }
  return Edit{*id, name, {}, *std::move(placeholders)};
}

std::optional<std::string_view> CompiledHeaderEdits::ValueOf(const Edit& edit,
                                                             const Source& source) {
  if (!edit.placeholders) return edit.value;
  return edit.placeholders->Render(*source.downstream, *source.arena);
}

void CompiledHeaderEdits::Remove(const Edit& edit, HeaderList& headers) {
  if (edit.id == HeaderId::kOther) {
    headers.Remove(edit.name);
  } else {
    headers.Remove(edit.id);
  }
}

void CompiledHeaderEdits::ApplyAll(HeaderList& headers, const Source& source) const {
  for (const Edit& edit : remove_) Remove(edit, headers);
  for (const Edit& edit : set_) {
    const auto value = ValueOf(edit, source);
    if (!value) {
      Remove(edit, headers);
    } else if (edit.id == HeaderId::kOther) {
      headers.Set(edit.name, *value);
    } else {
      headers.Set(edit.id, edit.name, *value);
    }
  }
  for (const Edit& edit : add_) {
    if (const auto value = ValueOf(edit, source)) headers.Add(edit.id, edit.name, *value);
  }
}

}  // namespace sluice
