/** A table that nft listed in JSON, for a backend to read. Nothing can be written to it. */
import type { ElementReader, Field, NftKernel, ReadObjects, SetObject } from '../backends/nftables/objects';
import { printSetText } from '../backends/nftables/print';
import type { Family } from '../model/address';
import { fieldsOf, isArray, type JsonObject, kindOf, textOf } from '../trace/nft-json';
import type { NftChain, NftTable } from '../trace/nft-ruleset';
import { printNftRule, printNftValue } from '../trace/nft-text';

export function jsonKernel(table: NftTable | undefined, family: Family): NftKernel {
  const readObjects = (): ReadObjects | undefined =>
    table && {
      chains: new Map([...table.chains].map(([name, chain]) => [name, printChain(chain, family)])),
      sets: new Map([...table.declarations].map(([name, declared]) => [name, printDeclaration(declared, family)])),
    };
  const read = (reader: ElementReader): ReadObjects | undefined => {
    for (const [name, set] of table?.sets ?? [])
      for (const { key, value, comment } of set.elements()) {
        const text = value === true ? '' : printNftValue(value);
        reader.element(name, key, comment === '' ? text : `${text} # ${comment}`);
      }
    return readObjects();
  };
  return {
    canRead: true,
    read: (reader) => Promise.resolve(read(reader)),
    readObjects: () => Promise.resolve(readObjects()),
    write: () => Promise.reject(new Error('nothing is written')),
    close: () => undefined,
  };
}

/** As printChainText prints it. */
function printChain({ hook, rules }: NftChain, family: Family): string {
  const lines = rules.map((rule) => withPrefixes(printNftRule(rule), family));
  if (hook === undefined) return lines.join('\n');
  const { type, name, priority, policy } = hook;
  const end = policy === 'accept' ? '' : ` policy ${policy};`;
  return [`type ${type} hook ${name} priority ${priority};${end}`, ...lines].join('\n');
}

/** nft prints a host without its prefix length, and our rules have one. */
function withPrefixes(rule: string, family: Family): string {
  const bits = family === 'IPv4' ? 32 : 128;
  return rule.replaceAll(/\b(ip6? [sd]addr (?:!= )?)(?=\S*[\da-f])([\da-f:][\da-f:.]*)(?= |$)/g, `$1$2/${bits}`);
}

const fieldNames: Readonly<Record<string, Field>> = {
  ipv4_addr: 'address',
  ipv6_addr: 'address',
  inet_proto: 'protocol',
  inet_service: 'port',
  integer: 'index',
  classid: 'priority',
};

/** As printSetText prints it. A set that we could not have made is printed as JSON. */
function printDeclaration(declared: JsonObject, family: Family): string {
  const [, body] = kindOf(declared);
  const { type, map, size, flags, name } = fieldsOf(body);
  const key = fieldsNamed(isArray(type) ? type.map(textOf) : [textOf(type)]);
  const data = map === 'verdict' ? map : map === undefined ? undefined : fieldsNamed(textOf(map).split(' . '));
  const isDynamic = [flags].flat().includes('timeout');
  const isOurs = key !== undefined && (map === undefined || data !== undefined) && (isDynamic || flags === undefined);
  if (!isOurs) return JSON.stringify(declared);
  const set: SetObject = {
    name: textOf(name),
    key,
    ...(data !== undefined && { data }),
    ...(isDynamic && { dynamicSize: Number(size) }),
  };
  return printSetText(set, family);
}

/** Returns undefined where one is not a type of ours. */
function fieldsNamed(names: readonly string[]): readonly Field[] | undefined {
  const fields = names.flatMap((name) => fieldNames[name] ?? []);
  return fields.length === names.length ? fields : undefined;
}
