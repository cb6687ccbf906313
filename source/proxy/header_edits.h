// Edits of header fields as a route configures them, with their names looked up.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
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

  void Apply(HeaderList& headers) const {
    if (!empty_) ApplyAll(headers);
  }

 private:
  struct Edit {
    HeaderId id;
    std::string name;
    std::string value;
  };

  void ApplyAll(HeaderList& headers) const;

  bool empty_ = true;
  std::vector<Edit> remove_;
  std::vector<Edit> set_;
  std::vector<Edit> add_;
};

}  // namespace sluice
