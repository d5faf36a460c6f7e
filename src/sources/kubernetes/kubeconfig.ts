import { dirname, isAbsolute, join } from 'node:path';
import { UserError } from '../../model/user-error';
import { parseKubernetesYaml } from '../../yaml/parse-kubernetes-yaml';
import { type Fields, fieldsOf } from './decode-fields';

/** PEM text in the kubeconfig, or the file that has it. */
export type PemSource = { readonly text: string } | { readonly file: string };

/** One context of a kubeconfig: how to reach the server, and the identity to use there. */
export interface Kubeconfig {
  /** '' when the kubeconfig names none. */
  readonly server: string;
  readonly ca?: PemSource;
  readonly tlsServerName?: string;
  /** insecure-skip-tls-verify. */
  readonly insecure?: boolean;
  readonly proxyUrl?: string;
  readonly cert?: PemSource;
  readonly key?: PemSource;
  readonly token?: string;
  /** Takes precedence over token. */
  readonly tokenFile?: string;
  readonly basic?: { readonly username: string; readonly password: string };
  /** `as` and `as-uid`, as request headers. */
  readonly impersonate?: Readonly<Record<string, string>>;
  /** The user's `exec` or `auth-provider`, as written. */
  readonly plugin?: { readonly exec: Fields } | { readonly 'auth-provider': Fields };
}

/** Names the type for messages. The value itself may be a secret. */
function typeName(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'fields' : `a ${typeof value}`;
}

/** A field has a wrong type. kubectl refuses such a kubeconfig too. Example: `user u: token: want text, got a number`. */
class WrongType extends Error {}

/** @param owner names the object of the field, for messages. */
function filledText(fields: Fields, name: string, owner = ''): string | undefined {
  const value = fields[name] ?? '';
  if (typeof value !== 'string') throw new WrongType(`${owner}${name}: want text, got ${typeName(value)}`);
  return value === '' ? undefined : value;
}

function isTrue(fields: Fields, name: string, owner: string): boolean {
  const value = fields[name] ?? false;
  if (typeof value !== 'boolean') throw new WrongType(`${owner}${name}: want true or false, got ${typeName(value)}`);
  return value;
}

/** Returns the entry with this name from one of the kubeconfig's lists of `{ name, <kind>: { ... } }`. */
function entryOf(list: unknown, kind: string, name: string): Fields | undefined {
  if (!Array.isArray(list)) return undefined;
  const entry = list.map(fieldsOf).find((item) => item.name === name);
  return entry === undefined ? undefined : fieldsOf(entry[kind]);
}

/** Drops undefined fields, which exactOptionalPropertyTypes does not accept. Object.fromEntries loses the type, hence the cast. */
function present<T extends object>(fields: { readonly [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}

/**
 * Returns the current context of a kubeconfig. Throws UserError when it is unusable.
 * @param path the kubeconfig's path: relative paths in it start at its folder.
 * @param serverOptional accepts a kubeconfig without a server.
 */
export function parseKubeconfig(text: string, path: string, serverOptional: boolean): Kubeconfig {
  const fail = (why: string): never => {
    throw new UserError(`kubeconfig ${path}: ${why}`);
  };
  const { documents, mistakes } = parseKubernetesYaml(text);
  const [mistake] = mistakes;
  if (mistake !== undefined) return fail(`line ${mistake.line}: ${mistake.message}`);
  try {
    return readKubeconfig(fieldsOf(documents[0]?.value), path, serverOptional, fail);
  } catch (error) {
    if (!(error instanceof WrongType)) throw error;
    return fail(error.message);
  }
}

function readKubeconfig(
  document: Fields,
  path: string,
  serverOptional: boolean,
  fail: (why: string) => never,
): Kubeconfig {
  const contextName = filledText(document, 'current-context');
  if (contextName === undefined) return serverOptional ? { server: '' } : fail('no current-context');
  const context = entryOf(document.contexts, 'context', contextName) ?? fail(`no context ${contextName}`);
  const clusterName = filledText(context, 'cluster', `context ${contextName}: `) ?? '';
  const cluster = entryOf(document.clusters, 'cluster', clusterName) ?? fail(`no cluster ${clusterName}`);
  const userName = filledText(context, 'user', `context ${contextName}: `);
  const user = userName === undefined ? {} : (entryOf(document.users, 'user', userName) ?? fail(`no user ${userName}`));
  const [ofCluster, ofUser] = [`cluster ${clusterName}: `, `user ${userName ?? ''}: `];
  const server =
    filledText(cluster, 'server', ofCluster) ?? (serverOptional ? '' : fail(`cluster ${clusterName} has no server`));

  const fileOf = (fields: Fields, name: string, owner: string): string | undefined => {
    const file = filledText(fields, name, owner);
    return file === undefined || isAbsolute(file) ? file : join(dirname(path), file);
  };
  const pemOf = (fields: Fields, name: string, owner: string): PemSource | undefined => {
    const encoded = filledText(fields, `${name}-data`, owner);
    if (encoded !== undefined) return { text: Buffer.from(encoded, 'base64').toString('utf8') };
    const file = fileOf(fields, name, owner);
    return file === undefined ? undefined : { file };
  };
  return present<Kubeconfig>({
    server,
    ca: pemOf(cluster, 'certificate-authority', ofCluster),
    tlsServerName: filledText(cluster, 'tls-server-name', ofCluster),
    insecure: isTrue(cluster, 'insecure-skip-tls-verify', ofCluster) ? true : undefined,
    proxyUrl: filledText(cluster, 'proxy-url', ofCluster),
    cert: pemOf(user, 'client-certificate', ofUser),
    key: pemOf(user, 'client-key', ofUser),
    token: filledText(user, 'token', ofUser),
    tokenFile: fileOf(user, 'tokenFile', ofUser),
    basic: basicOf(user, ofUser),
    impersonate: impersonateOf(user, ofUser),
    plugin: pluginOf(user, path, ofUser),
  });
}

function basicOf(user: Fields, owner: string): Kubeconfig['basic'] {
  const username = filledText(user, 'username', owner);
  return username === undefined ? undefined : { username, password: filledText(user, 'password', owner) ?? '' };
}

function impersonateOf(user: Fields, owner: string): Kubeconfig['impersonate'] {
  const name = filledText(user, 'as', owner);
  if (name === undefined) return undefined;
  const uid = filledText(user, 'as-uid', owner);
  return { 'impersonate-user': name, ...(uid === undefined ? {} : { 'impersonate-uid': uid }) };
}

function pluginOf(user: Fields, path: string, owner: string): Kubeconfig['plugin'] {
  if (user.exec !== undefined && user.exec !== null) {
    const exec = fieldsOf(user.exec);
    const command = filledText(exec, 'command', `${owner}exec: `);
    // As in client-go: a command with a slash is relative to the kubeconfig, one without a slash is found on PATH.
    if (command?.includes('/') !== true || isAbsolute(command)) return { exec };
    return { exec: { ...exec, command: join(dirname(path), command) } };
  }
  const provider = user['auth-provider'];
  return provider === undefined || provider === null ? undefined : { 'auth-provider': fieldsOf(provider) };
}
