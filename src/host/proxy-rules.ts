/** Decides which proxy a request goes through, by Go's rules (golang.org/x/net/http/httpproxy). Pure, except for node:net's checks. */
import { BlockList, isIP } from 'node:net';

/** Returns undefined where the request goes without a proxy. */
export type ProxyChoice = (url: URL) => URL | undefined;

type Environment = Readonly<Record<string, string | undefined>>;
/** Whether requests to this host and port go without a proxy. */
type Exception = (host: string, port: string) => boolean;

const schemes = ['http:', 'https:', 'socks5:', 'socks5h:'];
const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

function isProxy(url: URL): boolean {
  return schemes.includes(url.protocol) && url.hostname !== '';
}

/** `host:port` means http. Returns undefined for what is not an address; Go then uses no proxy. */
export function parseProxy(text: string): URL | undefined {
  if (text === '' || /^[a-z\d]+:\/\/$/i.test(text)) return undefined;
  for (const candidate of [text, `http://${text}`]) {
    const url = URL.canParse(candidate) ? new URL(candidate) : undefined;
    if (url !== undefined && isProxy(url)) return url;
  }
  return undefined;
}

/** The host, without the brackets of an IPv6 address. */
export function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[(.*)\]$/, '$1');
}

const defaultPorts: Readonly<Record<string, string>> = {
  'http:': '80',
  'https:': '443',
  'socks5:': '1080',
  'socks5h:': '1080',
};

export function portOf({ port, protocol }: URL): string {
  return port === '' ? (defaultPorts[protocol] ?? '') : port;
}

function blockListOf(address: string, bits: number): BlockList | undefined {
  const version = isIP(address);
  if (version === 0 || bits > (version === 4 ? 32 : 128)) return undefined;
  const list = new BlockList();
  list.addSubnet(address, bits, version === 4 ? 'ipv4' : 'ipv6');
  return list;
}

function holds(list: BlockList, host: string): boolean {
  const version = isIP(host);
  return version !== 0 && list.check(host, version === 4 ? 'ipv4' : 'ipv6');
}

/** Splits `host:port` or `[host]:port`. The port is '' where there is none. */
function splitPort(entry: string): { readonly host: string; readonly port: string } {
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*)):(\w+)$/.exec(entry) ?? [];
  return port === undefined ? { host: entry, port: '' } : { host: bracketed ?? plain ?? '', port };
}

/** Reads one entry of NO_PROXY. Returns undefined for an entry that means nothing. */
function exceptionOf(entry: string): Exception | undefined {
  if (entry === '*') return () => true;
  const [, network = '', bits = ''] = /^(.+)\/(\d+)$/.exec(entry) ?? [];
  const subnet = bits === '' ? undefined : blockListOf(network, Number(bits));
  if (subnet !== undefined) return (host) => holds(subnet, host);
  const { host: wanted, port: wantedPort } = splitPort(entry);
  if (wanted === '') return undefined;
  const isPort = (port: string): boolean => wantedPort === '' || wantedPort === port;
  const address = blockListOf(wanted, isIP(wanted) === 4 ? 32 : 128);
  if (address !== undefined) return (host, port) => holds(address, host) && isPort(port);
  const domain = wanted.replace(/^\*\./, '.');
  const suffix = domain.startsWith('.') ? domain : `.${domain}`;
  return (host, port) => isIP(host) === 0 && (host.endsWith(suffix) || host === domain) && isPort(port);
}

/** Reads HTTPS_PROXY, HTTP_PROXY and NO_PROXY, in upper or lower case. Requests to loopback never go through a proxy. */
export function proxyOfEnvironment(environment: Environment): ProxyChoice {
  const read = (name: string): string => environment[name] || environment[name.toLowerCase()] || '';
  const secure = parseProxy(read('HTTPS_PROXY'));
  const plain = parseProxy(read('HTTP_PROXY'));
  const entries = read('NO_PROXY')
    .split(',')
    .map((entry) => entry.trim().toLowerCase());
  const exceptions = entries.map(exceptionOf).filter((exception) => exception !== undefined);
  return (url) => {
    const proxy = url.protocol === 'https:' ? secure : plain;
    if (proxy === undefined) return undefined;
    // In a CGI program the variable may come from a header of the client.
    if (proxy === plain && url.protocol === 'http:' && (environment.REQUEST_METHOD ?? '') !== '')
      throw new Error('HTTP_PROXY is not used where REQUEST_METHOD is set');
    const host = hostOf(url).toLowerCase();
    if (host === 'localhost' || holds(loopback, host)) return undefined;
    return exceptions.some((exception) => exception(host, portOf(url))) ? undefined : proxy;
  };
}
