import type { Clock } from '../../host/clock';
import type { TlsSettings } from '../../host/http';
import { HttpConnections } from '../../host/http';
import { parseProxy, type ProxyChoice, proxyOfEnvironment } from '../../host/proxy-rules';
import { readSystemRoots } from '../../host/system-roots';
import { UserError } from '../../model/user-error';
import type { Kubeconfig, PemSource } from './kubeconfig';
import { parseKubeconfig } from './kubeconfig';
import type { PluginAccess } from './plugin-access';
import { messageOf } from '../../model/error-message';

/** What a request needs now. */
export interface Access {
  readonly connections: HttpConnections;
  readonly headers: Readonly<Record<string, string>>;
}

/** How to reach an API server and who to be there. */
export interface Credentials {
  /** URL without a slash at its end. */
  readonly server: string;
  /**
   * Reads files anew at every call, so that rotated tokens and certificates are used at once: requests are minutes apart.
   * Rejects when a file or plugin fails.
   */
  access(): Promise<Access>;
  /** The server refused them: the next access also asks plugins anew. */
  renew(): void;
  close(): void;
}

export interface CredentialOptions {
  /** Path; '' for none. */
  readonly kubeconfig: string;
  /** URL or host:port of the API server in the place of the kubeconfig's; '' for none. With neither, those of the Pod. */
  readonly master: string;
  /** Throws where the file cannot be read. */
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
    // `ENOENT: no such file or directory, open '/path'`: the path is said already.
    throw new UserError(`${what} ${path}: ${messageOf(error).replace(/, \w+ '.*'$/, '')}`);
  }
}

/** The Pod's own, by the variables and files that every Pod has. */
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

/** `10.0.0.1:6443` as well as a URL; client-go's default is https where there is anything to be secret about. */
function serverUrl(text: string, secure: boolean): string {
  const url = /^https?:\/\//i.test(text) ? text : `${secure ? 'https' : 'http'}://${text}`;
  if (!URL.canParse(url)) throw new UserError(`not the URL of an API server: ${text}`);
  return url.replace(/\/+$/, '');
}

function authorizationOf(token: string | undefined, basic: Kubeconfig['basic']): string | undefined {
  if (token !== undefined && token !== '') return `Bearer ${token}`;
  return basic && `Basic ${Buffer.from(`${basic.username}:${basic.password}`).toString('base64')}`;
}

/** The kubeconfig's own proxy is for every server, one on this machine too; without one the environment's rules hold. */
function proxyChoice({ proxyUrl }: Kubeconfig, environment: CredentialOptions['environment']): ProxyChoice {
  if (proxyUrl === undefined) return proxyOfEnvironment(environment);
  const proxy = parseProxy(proxyUrl);
  if (proxy === undefined || !/^(https?|socks5):\/\//i.test(proxyUrl))
    throw new UserError(`proxy-url ${proxyUrl}: must be the URL of an http, https or socks5 proxy`);
  return () => proxy;
}

/**
 * client-go's order: a kubeconfig, its server replaced by master where given; master alone, without credentials; else the
 * Pod's own. Throws UserError where there is none or it cannot be read.
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
  /** What files held when they could last be read. */
  readonly #lastGood = new Map<string, string>();
  readonly #proxyFor: ProxyChoice;
  #systemRoots: readonly string[] | undefined;

  constructor(
    private readonly config: Kubeconfig,
    private readonly options: CredentialOptions,
  ) {
    this.#proxyFor = proxyChoice(config, options.environment);
  }

  get server(): string {
    return this.config.server;
  }

  async access(): Promise<Access> {
    const own = this.#readFiles();
    const plugin = this.config.plugin === undefined ? undefined : await this.#askPlugin(own.tls);
    return {
      connections: this.#connect({ ...own.tls, ...plugin?.tls }),
      headers: { ...own.headers, ...plugin?.headers },
    };
  }

  renew(): void {
    this.#plugin = undefined;
    // Whatever is wrong with a file is worth knowing now.
    this.#lastGood.clear();
  }

  close(): void {
    this.#connections?.close();
  }

  /** Throws UserError where a file cannot be read, or what is in it cannot be used. */
  check(): void {
    const { tls } = this.#readFiles();
    if (this.config.plugin === undefined) this.#connect(tls);
  }

  /** What files and the kubeconfig itself give. */
  #readFiles(): { readonly tls: TlsSettings; readonly headers: Readonly<Record<string, string>> } {
    const { config } = this;
    const ca = this.#read(config.ca, 'certificate authority', (text) =>
      text.trim() === '' || text.includes('-----BEGIN CERTIFICATE-----') ? '' : 'no PEM certificate in it',
    );
    const cert = this.#read(config.cert, 'client certificate');
    const key = this.#read(config.key, 'client key');
    const file = config.tokenFile === undefined ? undefined : { file: config.tokenFile };
    const token = this.#read(file, 'token file', (text) => (text.trim() === '' ? 'empty' : ''))?.trim();
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

  /** As client-go: the kubeconfig's alone, or the system's where it has none. */
  #authorities(ca: string | undefined): Pick<TlsSettings, 'ca'> {
    if (ca !== undefined && ca.trim() !== '') return { ca };
    return /^https:/i.test(this.server) && this.config.insecure !== true ? { ca: this.#roots() } : {};
  }

  #roots(): readonly string[] {
    return (this.#systemRoots ??= readSystemRoots(this.options.environment));
  }

  /**
   * A file that cannot be read just now, or holds nothing of use, counts as it was before: tokens and certificates are rotated by
   * software that fails too. `faultIn` is what is wrong with a text, or ''.
   */
  #read(source: PemSource | undefined, what: string, faultIn?: (text: string) => string): string | undefined {
    if (source === undefined) return undefined;
    const name = 'text' in source ? what : `${what} ${source.file}`;
    try {
      const text = 'text' in source ? source.text : readOrExplain(source.file, what, this.options.readFile);
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

  /** Plugins are asked at most once a minute: some take a second to answer, and a list of many pages is many requests. */
  async #askPlugin(tls: TlsSettings): Promise<PluginAccess> {
    const nowMs = this.options.clock.now();
    // The clock of the machine may also be put back.
    if (this.#plugin === undefined || Math.abs(nowMs - this.#pluginAskedMs) > pluginAnswerMs) {
      this.#pluginAskedMs = nowMs;
      // Loaded when needed alone: client-node costs 15 MB and 70 ms.
      this.#plugin = import('./plugin-access').then(({ askPlugin }) => askPlugin(this.config, tls));
    }
    try {
      return await this.#plugin;
    } catch (error) {
      this.#plugin = undefined;
      throw error;
    }
  }

  /** The same connections as long as the TLS settings are the same. */
  #connect(tls: TlsSettings): HttpConnections {
    const text = JSON.stringify(tls);
    if (this.#connections !== undefined && this.#connectedWith === text) return this.#connections;
    try {
      // Those of before are left to their watches, which end by themselves in minutes.
      this.#connections = new HttpConnections({
        tls,
        proxyFor: this.#proxyFor,
        proxyTls: () => ({ ca: [...[tls.ca ?? []].flat(), ...this.#roots()] }),
      });
      this.#connectedWith = text;
    } catch (error) {
      // A certificate is there and its key is not yet: those of before will do until both are.
      if (this.#connections === undefined) throw new UserError(`certificates of ${this.server}: ${messageOf(error)}`);
    }
    return this.#connections;
  }
}
