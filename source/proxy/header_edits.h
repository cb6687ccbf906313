// Edits of header fields as a route configures them, with their names looked up.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "proxy/header_template.h"
#include "sluice/message.h"
#include "sluice/result.h"

namespace sluice {

// Immutable. The fields it sets refer to it: it must outlive, and stay in place for, every list it
// was applied to.
class CompiledHeaderEdits {
 public:
  // Fails on a name that is no token, on a value with control characters, and on a field that is
  // Sluice's own business: Host (`host_rewrite`), framing and hop-by-hop fields (RFC 9110 7.6.1).
  static Result<CompiledHeaderEdits> Compile(const HeaderEdits& edits);

  // The same with placeholders in the values (proxy/header_template.h), for the second Apply.
  static Result<CompiledHeaderEdits> CompileTemplates(const HeaderEdits& edits);

  void Apply(HeaderList& headers) const {
    if (!empty_) ApplyAll(headers, {});
  }

  // Fills placeholders in from `downstream`. A field whose value is not known then is not added,
  // and one that would be set is removed: what a client sent must not stand in for it.
  void Apply(RequestHead& head, const DownstreamInfo& downstream) const {
    if (!empty_) ApplyAll(head.headers, {&downstream, &head.arena});
  }

 private:
  struct Edit {
    HeaderId id;
    std::string name;
    std::string value;
    std::optional<HeaderTemplate> placeholders;  // instead of `value`, if it has any
  };
  struct Source {  // of what placeholders stand for
    const DownstreamInfo* downstream = nullptr;
    Arena* arena = nullptr;
  };

  static Result<CompiledHeaderEdits> Compile(const HeaderEdits& edits, bool templates);
  static Result<Edit> CompileEdit(const std::string& name, const std::string& value,
                                  bool templates);
  static std::optional<std::string_view> ValueOf(const Edit& edit, const Source& source);
  static void Remove(const Edit& edit, HeaderList& headers);
  void ApplyAll(HeaderList& headers, const Source& source) const;

  bool empty_ = true;
  std::vector<Edit> remove_;
  std::vector<Edit> set_;
  std::vector<Edit> add_;
};

}  // namespace sluice
