import { dirname, isAbsolute, join } from 'node:path';
import { parse } from 'yaml';
import { UserError } from '../../model/user-error';
import type { Fields } from './decode-fields';
import { fieldsOf } from './decode-fields';

/** PEM text that the kubeconfig holds, or the file that does. */
export type PemSource = { readonly text: string } | { readonly file: string };

/** One context of a kubeconfig: how to reach the server and who to be there. */
export interface Kubeconfig {
  /** '' where the kubeconfig names none. */
  readonly server: string;
  readonly ca?: PemSource;
  readonly tlsServerName?: string;
  /** insecure-skip-tls-verify. */
  readonly insecure?: boolean;
  readonly proxyUrl?: string;
  readonly cert?: PemSource;
  readonly key?: PemSource;
  readonly token?: string;
  /** Goes before token. */
  readonly tokenFile?: string;
  readonly basic?: { readonly username: string; readonly password: string };
  /** `as` and `as-uid`, as request headers. */
  readonly impersonate?: Readonly<Record<string, string>>;
  /** The user's `exec` or `auth-provider`, as written. */
  readonly plugin?: { readonly exec: Fields } | { readonly 'auth-provider': Fields };
}

function filledText(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** The entry of this name in one of the kubeconfig's lists: `{ name, <kind>: { ... } }`. */
function entryOf(list: unknown, kind: string, name: string): Fields | undefined {
  if (!Array.isArray(list)) return undefined;
  const entry = list.map(fieldsOf).find((item) => item.name === name);
  return entry === undefined ? undefined : fieldsOf(entry[kind]);
}

/** Drops what is undefined, which exactOptionalPropertyTypes does not let through. */
function present<T extends object>(fields: { readonly [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}

/**
 * The current context of a kubeconfig. `path` is where it was read: relative files in it are beside it. Throws UserError,
 * except for a missing server where `serverOptional`.
 */
export function parseKubeconfig(text: string, path: string, serverOptional: boolean): Kubeconfig {
  const fail = (why: string): never => {
    throw new UserError(`kubeconfig ${path}: ${why}`);
  };
  let document: Fields;
  try {
    document = fieldsOf(parse(text));
  } catch (error) {
    return fail(error instanceof Error ? (error.message.split('\n', 1)[0] ?? '') : String(error));
  }
  const contextName = filledText(document, 'current-context');
  if (contextName === undefined) return serverOptional ? { server: '' } : fail('no current-context');
  const context = entryOf(document.contexts, 'context', contextName) ?? fail(`no context ${contextName}`);
  const clusterName = filledText(context, 'cluster') ?? '';
  const cluster = entryOf(document.clusters, 'cluster', clusterName) ?? fail(`no cluster ${clusterName}`);
  const userName = filledText(context, 'user');
  const user = userName === undefined ? {} : (entryOf(document.users, 'user', userName) ?? fail(`no user ${userName}`));
  const server = filledText(cluster, 'server') ?? (serverOptional ? '' : fail(`cluster ${clusterName} has no server`));

  const fileOf = (fields: Fields, name: string): string | undefined => {
    const file = filledText(fields, name);
    return file === undefined || isAbsolute(file) ? file : join(dirname(path), file);
  };
  const pemOf = (fields: Fields, name: string): PemSource | undefined => {
    const encoded = filledText(fields, `${name}-data`);
    if (encoded !== undefined) return { text: Buffer.from(encoded, 'base64').toString('utf8') };
    const file = fileOf(fields, name);
    return file === undefined ? undefined : { file };
  };
  return present<Kubeconfig>({
    server,
    ca: pemOf(cluster, 'certificate-authority'),
    tlsServerName: filledText(cluster, 'tls-server-name'),
    insecure: cluster['insecure-skip-tls-verify'] === true ? true : undefined,
    proxyUrl: filledText(cluster, 'proxy-url'),
    cert: pemOf(user, 'client-certificate'),
    key: pemOf(user, 'client-key'),
    token: filledText(user, 'token'),
    tokenFile: fileOf(user, 'tokenFile'),
    basic: basicOf(user),
    impersonate: impersonateOf(user),
    plugin: pluginOf(user, path),
  });
}

function basicOf(user: Fields): Kubeconfig['basic'] {
  const username = filledText(user, 'username');
  return username === undefined ? undefined : { username, password: filledText(user, 'password') ?? '' };
}

function impersonateOf(user: Fields): Kubeconfig['impersonate'] {
  const name = filledText(user, 'as');
  if (name === undefined) return undefined;
  const uid = filledText(user, 'as-uid');
  return { 'impersonate-user': name, ...(uid === undefined ? {} : { 'impersonate-uid': uid }) };
}

function pluginOf(user: Fields, path: string): Kubeconfig['plugin'] {
  if (user.exec !== undefined && user.exec !== null) {
    const exec = fieldsOf(user.exec);
    const command = filledText(exec, 'command');
    // As client-go: a command with a slash in it is beside the kubeconfig, one without is found on PATH.
    if (command?.includes('/') !== true || isAbsolute(command)) return { exec };
    return { exec: { ...exec, command: join(dirname(path), command) } };
  }
  const provider = user['auth-provider'];
  return provider === undefined || provider === null ? undefined : { 'auth-provider': fieldsOf(provider) };
}
