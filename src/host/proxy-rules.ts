/** Which proxy a request goes through, by Go's rules (golang.org/x/net/http/httpproxy). Pure but for node:net's address checks. */
import { BlockList, isIP } from 'node:net';

/** undefined: none. */
export type ProxyChoice = (url: URL) => URL | undefined;

type Environment = Readonly<Record<string, string | undefined>>;
/** Whether this host and port are reached without a proxy. */
type Exception = (host: string, port: string) => boolean;

const schemes = ['http:', 'https:', 'socks5:', 'socks5h:'];
const loopback = blockListOf('127.0.0.0', 8) as BlockList;
loopback.addAddress('::1', 'ipv6');

function isProxy(url: URL): boolean {
  return schemes.includes(url.protocol) && url.hostname !== '';
}

/** `host:port` means http. undefined: not an address, and then Go goes without a proxy. */
export function parseProxy(text: string): URL | undefined {
  if (text === '' || /^[a-z\d]+:\/\/$/i.test(text)) return undefined;
  for (const candidate of [text, `http://${text}`]) {
    const url = URL.canParse(candidate) ? new URL(candidate) : undefined;
    if (url !== undefined && isProxy(url)) return url;
  }
  return undefined;
}

/** Without the brackets of an IPv6 address. */
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

/** `host:port`, `[host]:port`; the port is '' without one. */
function splitPort(entry: string): { readonly host: string; readonly port: string } {
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*)):(\w+)$/.exec(entry) ?? [];
  return port === undefined ? { host: entry, port: '' } : { host: bracketed ?? plain ?? '', port };
}

/** One entry of NO_PROXY. undefined: it means nothing. */
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

/** What HTTPS_PROXY, HTTP_PROXY and NO_PROXY say, in capitals or small letters. Loopback never goes through a proxy. */
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
    // In a CGI program the variable may be a header of whoever called it.
    if (proxy === plain && url.protocol === 'http:' && (environment.REQUEST_METHOD ?? '') !== '')
      throw new Error('HTTP_PROXY is not used where REQUEST_METHOD is set');
    const host = hostOf(url).toLowerCase();
    if (host === 'localhost' || holds(loopback, host)) return undefined;
    return exceptions.some((exception) => exception(host, portOf(url))) ? undefined : proxy;
  };
}
