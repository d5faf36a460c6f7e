/** TLS as Go's client does it, where Node's defaults are others. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { PeerCertificate, SecureContext } from 'node:tls';
import { checkServerIdentity, createSecureContext } from 'node:tls';

/** PEM texts and checks of a TLS connection. */
export interface TlsSettings {
  /** Authorities that are trusted; Node's own where there are none. */
  readonly ca?: string | readonly string[];
  readonly cert?: string;
  readonly key?: string;
  /** Name that the server's certificate must carry, where it is not the URL's host. */
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

/** What node:https takes. */
export interface TlsOptions {
  readonly secureContext: SecureContext;
  readonly rejectUnauthorized: boolean;
  readonly servername?: string;
  readonly checkServerIdentity?: (host: string, certificate: PeerCertificate) => Error | undefined;
}

/** An address is never sent as a name (RFC 6066), and is compared with the certificate all the same. */
function nameOptions(servername: string): Pick<TlsOptions, 'servername' | 'checkServerIdentity'> {
  if (isIP(servername) === 0) return { servername };
  return { servername: '', checkServerIdentity: (_host, certificate) => checkServerIdentity(servername, certificate) };
}

/** OpenSSL keeps a certificate and a key of two kinds (EC, RSA) apart, and says nothing. */
function isOfAnotherKey(cert: string, key: string): boolean {
  try {
    return !new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch {
    // Whether it can be read is for createSecureContext to say.
    return false;
  }
}

/** Throws where a certificate or key cannot be used. */
export function tlsOptions({ ca, cert, key, servername, rejectUnauthorized = true }: TlsSettings): TlsOptions {
  if (cert !== undefined && key !== undefined && isOfAnotherKey(cert, key))
    throw new Error("the client key is not the client certificate's");
  return {
    // One for all connections: with the system's authorities it takes some 10 ms to make.
    secureContext: createSecureContext({
      ...(ca === undefined ? {} : { ca: typeof ca === 'string' ? ca : [...ca] }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      minVersion: 'TLSv1.2',
      // Whoever is among the authorities is trusted, an intermediate too: Go needs no path to a root.
      allowPartialTrustChain: true,
    }),
    // Said in any case: NODE_TLS_REJECT_UNAUTHORIZED is only for connections that do not say.
    rejectUnauthorized,
    ...(servername === undefined ? {} : nameOptions(servername)),
  };
}
