// Imported by its own path: the package's index loads every API class, and none of them is used.
import { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import type { TlsSettings } from '../../host/http';
import { messageOf } from '../../model/error-message';
import { askExecPlugin } from './exec-plugin';
import type { Kubeconfig } from './kubeconfig';

/** What an exec plugin or an auth provider adds to a request. */
export interface PluginAccess {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsSettings;
}

/** The part of https.RequestOptions that KubeConfig fills in. */
interface AppliedOptions {
  headers?: Record<string, unknown>;
  cert?: string | Buffer;
  key?: string | Buffer;
}

function pluginName({ plugin }: Kubeconfig): string {
  if (plugin === undefined) return 'kubeconfig';
  return 'exec' in plugin
    ? `exec plugin ${String(plugin.exec.command)}`
    : `auth provider ${String(plugin['auth-provider'].name)}`;
}

/** Returns the value of KUBERNETES_EXEC_INFO. */
function execInfo(config: Kubeconfig, apiVersion: unknown): string {
  const cluster = { server: config.server, 'insecure-skip-tls-verify': config.insecure === true };
  return JSON.stringify({ apiVersion, kind: 'ExecCredential', spec: { cluster, interactive: false } });
}

/**
 * Returns the user's credentials apart from the files. Exec plugins are run here, because client-node sets no time limit on them and
 * crashes when one cannot be started.
 */
async function userOf(config: Kubeconfig): Promise<object> {
  const { plugin } = config;
  if (plugin === undefined || !('exec' in plugin)) return plugin ?? {};
  const { token, cert, key } = await askExecPlugin(plugin.exec, execInfo(config, plugin.exec.apiVersion));
  return {
    ...(token === undefined ? {} : { token }),
    ...(cert === undefined ? {} : { 'client-certificate-data': base64(cert), 'client-key-data': base64(key) }),
  };
}

function base64(pem: TlsSettings['ca']): string | undefined {
  return pem === undefined ? undefined : Buffer.from([pem].flat().join('\n')).toString('base64');
}

/** Turns failures into one line with the plugin's name. */
async function explained<T>(config: Kubeconfig, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const text = messageOf(error).trim();
    throw new Error(
      `${pluginName(config)}: ${text === '' ? 'failed and said nothing' : (text.split('\n', 1)[0] ?? '')}`,
    );
  }
}

/** Runs the plugin. Rejects when it fails. */
export async function askPlugin(config: Kubeconfig, tls: TlsSettings): Promise<PluginAccess> {
  const cluster = {
    server: config.server,
    'certificate-authority-data': base64(tls.ca),
    // KubeConfig refuses plain http, where there is nothing to verify, unless told not to verify.
    'insecure-skip-tls-verify': config.insecure === true || config.server.startsWith('http:'),
    'tls-server-name': config.tlsServerName,
  };
  const files = { 'client-certificate-data': base64(tls.cert), 'client-key-data': base64(tls.key) };
  const user = { ...files, ...(await explained(config, () => userOf(config))) };
  const kubeConfig = new KubeConfig();
  kubeConfig.loadFromString(
    JSON.stringify({
      clusters: [{ name: 'it', cluster }],
      users: [{ name: 'it', user }],
      contexts: [{ name: 'it', context: { cluster: 'it', user: 'it' } }],
      'current-context': 'it',
    }),
  );
  const request: AppliedOptions = {};
  await explained(config, () => kubeConfig.applyToHTTPSOptions(request));
  const authorization = request.headers?.Authorization;
  return {
    headers: typeof authorization === 'string' ? { authorization } : {},
    tls: {
      ...(request.cert === undefined ? {} : { cert: request.cert.toString() }),
      ...(request.key === undefined ? {} : { key: request.key.toString() }),
    },
  };
}
