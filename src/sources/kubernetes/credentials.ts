import type { Clock } from '../../host/clock';
import type { HttpAgent, TlsSettings } from '../../host/http';
import { HttpConnections } from '../../host/http';
import { UserError } from '../../model/user-error';
import type { Kubeconfig, PemSource } from './kubeconfig';
import { parseKubeconfig } from './kubeconfig';
import type { PluginAccess } from './plugin-access';

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
    throw new UserError(`${what} ${path}: ${(error as Error).message.replace(/, \w+ '.*'$/, '')}`);
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
  const url = /^https?:\/\//.test(text) ? text : `${secure ? 'https' : 'http'}://${text}`;
  if (!URL.canParse(url)) throw new UserError(`not the URL of an API server: ${text}`);
  return url.replace(/\/+$/, '');
}

function authorizationOf(token: string | undefined, basic: Kubeconfig['basic']): string | undefined {
  if (token !== undefined && token !== '') return `Bearer ${token}`;
  return basic && `Basic ${Buffer.from(`${basic.username}:${basic.password}`).toString('base64')}`;
}

function needsPlugin(config: Kubeconfig): boolean {
  return config.plugin !== undefined || config.proxyUrl !== undefined;
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
  credentials.readFiles();
  return credentials;
}

class KubeconfigCredentials implements Credentials {
  #connections: HttpConnections | undefined;
  /** The TLS settings of #connections, as text. */
  #connectedWith = '';
  #plugin: Promise<PluginAccess> | undefined;
  #pluginAskedMs = 0;

  constructor(
    private readonly config: Kubeconfig,
    private readonly options: CredentialOptions,
  ) {}

  get server(): string {
    return this.config.server;
  }

  async access(): Promise<Access> {
    const own = this.readFiles();
    const plugin = needsPlugin(this.config) ? await this.#askPlugin(own.tls) : undefined;
    return {
      connections: this.#connect({ ...own.tls, ...plugin?.tls }, plugin?.agent),
      headers: { ...own.headers, ...plugin?.headers },
    };
  }

  renew(): void {
    this.#plugin = undefined;
  }

  close(): void {
    this.#connections?.close();
  }

  /** What files and the kubeconfig itself give. Throws UserError where a file cannot be read. */
  readFiles(): { readonly tls: TlsSettings; readonly headers: Readonly<Record<string, string>> } {
    const { config } = this;
    const ca = this.#read(config.ca, 'certificate authority');
    const cert = this.#read(config.cert, 'client certificate');
    const key = this.#read(config.key, 'client key');
    const token = this.#read(
      config.tokenFile === undefined ? undefined : { file: config.tokenFile },
      'token file',
    )?.trim();
    const authorization = authorizationOf(token ?? config.token, config.basic);
    return {
      tls: {
        ...(ca === undefined ? {} : { ca }),
        ...(cert === undefined ? {} : { cert }),
        ...(key === undefined ? {} : { key }),
        ...(config.tlsServerName === undefined ? {} : { servername: config.tlsServerName }),
        ...(config.insecure === true ? { rejectUnauthorized: false } : {}),
      },
      headers: { ...config.impersonate, ...(authorization === undefined ? {} : { authorization }) },
    };
  }

  #read(source: PemSource | undefined, what: string): string | undefined {
    if (source === undefined) return undefined;
    return 'text' in source ? source.text : readOrExplain(source.file, what, this.options.readFile);
  }

  /** Plugins are asked at most once a minute: some take a second to answer, and a list of many pages is many requests. */
  async #askPlugin(tls: TlsSettings): Promise<PluginAccess> {
    const nowMs = this.options.clock.now();
    if (this.#plugin === undefined || nowMs - this.#pluginAskedMs > pluginAnswerMs) {
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
  #connect(tls: TlsSettings, agent: HttpAgent | undefined): HttpConnections {
    const text = JSON.stringify(tls);
    if (this.#connections === undefined || this.#connectedWith !== text) {
      // Those of before are left to their watches, which end by themselves in minutes.
      this.#connections = new HttpConnections(this.server.startsWith('https:'), tls, agent);
      this.#connectedWith = text;
    }
    return this.#connections;
  }
}
