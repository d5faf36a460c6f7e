import type { Clock } from '../../host/clock';
import { HttpConnections, type TlsSettings } from '../../host/http';
import { parseProxy, type ProxyChoice, proxyOfEnvironment } from '../../host/proxy-rules';
import { readSystemRoots } from '../../host/system-roots';
import { messageOf } from '../../model/error-message';
import { UserError } from '../../model/user-error';
import { type Kubeconfig, parseKubeconfig, type PemSource } from './kubeconfig';
import type { PluginAccess } from './plugin-access';

/** What a request needs at the moment. */
export interface Access {
  readonly connections: HttpConnections;
  readonly headers: Readonly<Record<string, string>>;
}

/** How to reach an API server, and the identity to use there. */
export interface Credentials {
  /** URL without a trailing slash. */
  readonly server: string;
  /**
   * Reads the files again at every call, so that rotated tokens and certificates are used at once: requests are minutes apart.
   * Rejects when a file or plugin fails.
   */
  access(): Promise<Access>;
  /** To be called when the server has refused them: the next access also asks the plugin again. */
  renew(): void;
  close(): void;
}

export interface CredentialOptions {
  /** Path, or ''. */
  readonly kubeconfig: string;
  /** URL or host:port of the API server, used instead of the kubeconfig's, or ''. Without both, the Pod's credentials are used. */
  readonly master: string;
  /** Throws when the file cannot be read. */
  readonly readFile: (path: string) => string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
}

const pluginAnswerMs = 60_000;
const serviceAccount = '/var/run/secrets/kubernetes.io/serviceaccount';

function readOrExplain(path: string, what: string, readFile: CredentialOptions['readFile']): string {
  try {
    return readFile(path);
  } catch (error) {
    // The message ends with the path (`ENOENT: no such file or directory, open '/path'`), which is named already.
    throw new UserError(`${what} ${path}: ${messageOf(error).replace(/, \w+ '.*'$/, '')}`);
  }
}

/** Returns the Pod's own credentials, from the variables and files that every Pod has. */
function inCluster(environment: CredentialOptions['environment']): Kubeconfig {
  const host = environment.KUBERNETES_SERVICE_HOST ?? '';
  const port = environment.KUBERNETES_SERVICE_PORT ?? '';
  if (host === '' || port === '') {
    throw new UserError(
      'no API server: give --kubeconfig or --master, or run in a Pod (KUBERNETES_SERVICE_HOST and _PORT are not set)',
    );
  }
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    ca: { file: `${serviceAccount}/ca.crt` },
    tokenFile: `${serviceAccount}/token`,
  };
}

/** Accepts `10.0.0.1:6443` as well as a URL. As in client-go, the default is https when there are TLS settings. */
function serverUrl(text: string, secure: boolean): string {
  const url = /^https?:\/\//i.test(text) ? text : `${secure ? 'https' : 'http'}://${text}`;
  if (!URL.canParse(url)) throw new UserError(`not the URL of an API server: ${text}`);
  return url.replace(/\/+$/, '');
}

function authorizationOf(token: string | undefined, basic: Kubeconfig['basic']): string | undefined {
  if (token !== undefined && token !== '') return `Bearer ${token}`;
  return basic && `Basic ${Buffer.from(`${basic.username}:${basic.password}`).toString('base64')}`;
}

/** The kubeconfig's own proxy is used for every server, even one on this machine. Without one the environment's rules apply. */
function proxyChoice({ proxyUrl }: Kubeconfig, environment: CredentialOptions['environment']): ProxyChoice {
  if (proxyUrl === undefined) return proxyOfEnvironment(environment);
  const proxy = parseProxy(proxyUrl);
  if (proxy === undefined || !/^(https?|socks5):\/\//i.test(proxyUrl))
    throw new UserError(`proxy-url ${proxyUrl}: must be the URL of an http, https or socks5 proxy`);
  return () => proxy;
}

/**
 * Loads credentials in client-go's order: a kubeconfig, with its server replaced by master if given; master alone, without
 * credentials; else the Pod's own. Throws UserError when there are none or they cannot be read.
 */
export function loadCredentials(options: CredentialOptions): Credentials {
  const { kubeconfig: path, master, readFile, environment } = options;
  let config: Kubeconfig;
  if (path !== '') config = parseKubeconfig(readOrExplain(path, 'kubeconfig', readFile), path, master !== '');
  else if (master !== '') config = { server: '' };
  else config = inCluster(environment);
  const secure = config.ca !== undefined || config.cert !== undefined || config.insecure === true;
  const server = serverUrl(master === '' ? config.server : master, secure);
  const credentials = new KubeconfigCredentials({ ...config, server }, options);
  credentials.check();
  return credentials;
}

class KubeconfigCredentials implements Credentials {
  #connections: HttpConnections | undefined;
  /** The TLS settings of #connections, as text. */
  #connectedWith = '';
  #plugin: Promise<PluginAccess> | undefined;
  #pluginAskedMs = 0;
  /** The contents of the files when they could last be read. */
  readonly #lastGood = new Map<string, string>();
  readonly #proxyFor: ProxyChoice;
  #systemRoots: readonly string[] | undefined;

  readonly #config: Kubeconfig;
  readonly #options: CredentialOptions;

  constructor(config: Kubeconfig, options: CredentialOptions) {
    this.#config = config;
    this.#options = options;
    this.#proxyFor = proxyChoice(config, options.environment);
  }

  get server(): string {
    return this.#config.server;
  }

  async access(): Promise<Access> {
    const own = this.#readFiles();
    const plugin = this.#config.plugin === undefined ? undefined : await this.#askPlugin(own.tls);
    return {
      connections: this.#connect({ ...own.tls, ...plugin?.tls }),
      headers: { ...own.headers, ...plugin?.headers },
    };
  }

  renew(): void {
    this.#plugin = undefined;
    // The old contents were refused, so a fault in a file must be reported now.
    this.#lastGood.clear();
  }

  close(): void {
    this.#connections?.close();
  }

  /** Throws UserError when a file cannot be read, or its contents cannot be used. */
  check(): void {
    const { tls } = this.#readFiles();
    if (this.#config.plugin === undefined) this.#connect(tls);
  }

  /** Returns what the files and the kubeconfig itself provide. */
  #readFiles(): { readonly tls: TlsSettings; readonly headers: Readonly<Record<string, string>> } {
    const config = this.#config;
    const ca = this.#read(config.ca, 'certificate authority', (text) =>
      text.trim() === '' || text.includes('-----BEGIN CERTIFICATE-----') ? '' : 'it has no PEM certificate',
    );
    const cert = this.#read(config.cert, 'client certificate');
    const key = this.#read(config.key, 'client key');
    const file = config.tokenFile === undefined ? undefined : { file: config.tokenFile };
    const token = this.#read(file, 'token file', (text) => (text.trim() === '' ? 'the file is empty' : ''))?.trim();
    const authorization = authorizationOf(token ?? config.token, config.basic);
    return {
      tls: {
        ...this.#authorities(ca),
        ...(cert === undefined ? {} : { cert }),
        ...(key === undefined ? {} : { key }),
        ...(config.tlsServerName === undefined ? {} : { servername: config.tlsServerName }),
        ...(config.insecure === true ? { rejectUnauthorized: false } : {}),
      },
      headers: { ...config.impersonate, ...(authorization === undefined ? {} : { authorization }) },
    };
  }

  /** As in client-go: only the kubeconfig's authority, or the system's when it has none. */
  #authorities(ca: string | undefined): Pick<TlsSettings, 'ca'> {
    if (ca !== undefined && ca.trim() !== '') return { ca };
    return /^https:/i.test(this.server) && this.#config.insecure !== true ? { ca: this.#roots() } : {};
  }

  #roots(): readonly string[] {
    return (this.#systemRoots ??= readSystemRoots(this.#options.environment));
  }

  /**
   * Reads a file or text. When a file cannot be read at the moment or has no usable contents, returns its previous contents: the
   * software that rotates tokens and certificates fails at times too. `faultIn` returns what is wrong with a text, or ''.
   */
  #read(source: PemSource | undefined, what: string, faultIn?: (text: string) => string): string | undefined {
    if (source === undefined) return undefined;
    const name = 'text' in source ? what : `${what} ${source.file}`;
    try {
      const text = 'text' in source ? source.text : readOrExplain(source.file, what, this.#options.readFile);
      const fault = faultIn?.(text) ?? '';
      if (fault !== '') throw new UserError(`${name}: ${fault}`);
      this.#lastGood.set(name, text);
      return text;
    } catch (error) {
      const before = this.#lastGood.get(name);
      if (before === undefined) throw error;
      return before;
    }
  }

  /** Asks the plugin at most once per minute: some take a second to answer, and a list of many pages takes many requests. */
  async #askPlugin(tls: TlsSettings): Promise<PluginAccess> {
    const nowMs = this.#options.clock.now();
    // The machine's clock may also be set back.
    if (this.#plugin === undefined || Math.abs(nowMs - this.#pluginAskedMs) > pluginAnswerMs) {
      this.#pluginAskedMs = nowMs;
      // Loaded only when needed: client-node costs 15 MB and 70 ms.
      this.#plugin = import('./plugin-access').then(({ askPlugin }) => askPlugin(this.#config, tls));
    }
    try {
      return await this.#plugin;
    } catch (error) {
      this.#plugin = undefined;
      throw error;
    }
  }

  /** Returns the same connections as long as the TLS settings are the same. */
  #connect(tls: TlsSettings): HttpConnections {
    const text = JSON.stringify(tls);
    if (this.#connections !== undefined && this.#connectedWith === text) return this.#connections;
    try {
      // The old connections stay for their watches, which end by themselves within minutes.
      this.#connections = new HttpConnections({
        tls,
        proxyFor: this.#proxyFor,
        proxyTls: () => ({ ca: [...[tls.ca ?? []].flat(), ...this.#roots()] }),
      });
      this.#connectedWith = text;
    } catch (error) {
      // A rotated certificate may be there before its key. The old connections are used until both are there.
      if (this.#connections === undefined) throw new UserError(`certificates of ${this.server}: ${messageOf(error)}`);
    }
    return this.#connections;
  }
}
