// X-Forwarded-Client-Cert: tells an upstream who the client is, by the certificate it has shown.
//
//   Hash=468ed33be74e...;Subject="CN=client,O=Example";URI=spiffe://example/client;DNS=a.example
//
// Only of a certificate that was verified. A value that could be taken for more than one is quoted.
#pragma once

#include "config/config.h"
#include "sluice/handler.h"
#include "sluice/message.h"

namespace sluice {

// Edits the field as `mode` says. What the client sent is here only if it is trusted: the caller
// has dropped it otherwise.
void ForwardClientCertificate(ForwardClientCert mode, RequestHead& head,
                              const DownstreamInfo& downstream);

}  // namespace sluice
