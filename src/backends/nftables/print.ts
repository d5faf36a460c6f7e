/** A table as `nft -f` takes it. */
import { type Family, hostCidr } from '../../model/address';
import {
  type BaseChainHook,
  type ChainObject,
  type Field,
  mostCommentBytes,
  type Rule,
  type Selector,
  type SetElement,
  type SetObject,
  type Statement,
  tableName,
} from './objects';

/** `ip` or `ip6`: the keyword of a family's tables and of its packets' fields. */
function familyWord(family: Family): 'ip' | 'ip6' {
  return family === 'IPv4' ? 'ip' : 'ip6';
}

/** `ip kube-proxy` */
export function printTableName(family: Family): string {
  return `${familyWord(family)} ${tableName}`;
}

const typeNames: Readonly<Record<Exclude<Field, 'address' | 'index'>, string>> = {
  protocol: 'inet_proto',
  port: 'inet_service',
  priority: 'classid',
};

/** What `typeof` names a field by: an index has no name of a type, so that its sets need it. */
function fieldSample(field: Field, family: Family): string {
  switch (field) {
    case 'address':
      return `${familyWord(family)} daddr`;
    case 'protocol':
      return 'meta l4proto';
    case 'port':
      return 'th dport';
    case 'index':
      return 'numgen random mod 2';
    case 'priority':
      return 'meta priority';
  }
}

function printFields(fields: readonly Field[], family: Family): string {
  return fields.map((field) => fieldSample(field, family)).join(' . ');
}

function printTypes(fields: readonly Field[], family: Family): string {
  return fields
    .map((field) =>
      field === 'address'
        ? family === 'IPv4'
          ? 'ipv4_addr'
          : 'ipv6_addr'
        : field === 'index'
          ? 'integer'
          : typeNames[field],
    )
    .join(' . ');
}

/** Whether nft can name the types of the fields; else `typeof` shows what they are taken from. */
export function needsTypeof({ key, data }: SetObject): boolean {
  return key.includes('index') || (data !== undefined && data !== 'verdict' && data.includes('index'));
}

/** `type ipv4_addr . inet_proto . inet_service : verdict` */
function printSetType(set: SetObject, family: Family): string {
  const [word, print] = needsTypeof(set) ? ['typeof', printFields] : ['type', printTypes];
  const { key, data } = set;
  const value = data === undefined ? '' : ` : ${data === 'verdict' ? 'verdict' : print(data, family)}`;
  return `${word} ${print(key, family)}${value}`;
}

function setWord({ data }: Pick<SetObject, 'data'>): 'set' | 'map' {
  return data === undefined ? 'set' : 'map';
}

/** `add map ip kube-proxy vipwire-services { type ipv4_addr . inet_proto . inet_service : verdict; }` */
export function printSet(set: SetObject, family: Family): string {
  const comment = set.comment === undefined ? '' : ` comment "${cut(set.comment)}";`;
  const parts = `${printSetType(set, family)};${printDynamic(set)}${comment}`;
  return `add ${setWord(set)} ${printTableName(family)} ${set.name} { ${parts} }`;
}

function printDynamic({ dynamicSize }: SetObject): string {
  return dynamicSize === undefined ? '' : ` flags dynamic,timeout; size ${dynamicSize};`;
}

/** A set without its table, which tells whether two sets are the same. */
export function printSetText(set: SetObject, family: Family): string {
  return `${setWord(set)} { ${printSetType(set, family)};${printDynamic(set)} }`;
}

/** A chain without its table and name: its hook, then its rules, a line each. */
export function printChainText({ base, rules }: Omit<ChainObject, 'name'>, family: Family): string {
  const lines = rules.map((rule) => printRule(rule, family));
  return [...(base === undefined ? [] : [printHook(base)]), ...lines].join('\n');
}

/** What an element's key leads to, and its comment: `goto vipwire-pick-2 # default/web:http`. */
export function printValue({ value = '', comment }: Omit<SetElement, 'key'>): string {
  return comment === undefined ? value : `${value} # ${cut(comment)}`;
}

/** `10.96.0.10 . tcp . 80 comment "default/web" : goto vipwire-pick-2` */
export function printElement({ key, value, comment, timeout }: SetElement): string {
  const time = timeout === undefined ? '' : ` timeout ${timeout.seconds}s expires ${timeout.remainingMs}ms`;
  const about = comment === undefined ? '' : ` comment "${cut(comment)}"`;
  return `${key}${time}${about}${value === undefined ? '' : ` : ${value}`}`;
}

/** `add chain ip kube-proxy nat-prerouting { type nat hook prerouting priority -101; }` */
export function printChain({ name, base }: Pick<ChainObject, 'name' | 'base'>, family: Family): string {
  return `add chain ${printTableName(family)} ${name}${base === undefined ? '' : ` { ${printHook(base)} }`}`;
}

function printHook({ type, hook, priority }: BaseChainHook): string {
  return `type ${type} hook ${hook} priority ${priority};`;
}

export function printRule({ statements, comment }: Rule, family: Family): string {
  const words = statements.map((statement) => printStatement(statement, family));
  return [...words, ...(comment === undefined ? [] : [`comment "${cut(comment)}"`])].join(' ');
}

/** A rule that was read has the prefix, too. */
function withPrefix(cidr: string): string {
  return cidr.includes('/') ? cidr : hostCidr(cidr);
}

/** A comment as the kernel keeps it. */
function cut(comment: string): string {
  return comment.slice(0, mostCommentBytes);
}

function printStatement(statement: Statement, family: Family): string {
  switch (statement.kind) {
    case 'address':
      return `${printSelector({ kind: statement.side }, family)} ${statement.isNot ? '!= ' : ''}${withPrefix(statement.cidr)}`;
    case 'interface':
      return `iifname ${statement.isNot ? '!= ' : ''}"${statement.name}"`;
    case 'is-local':
      return `fib ${statement.side === 'source' ? 'saddr' : 'daddr'} type local`;
    case 'ct-state-new':
      return 'ct state new';
    case 'ct-state-old':
      return 'ct state established,related';
    case 'ct-status-dnat':
      return 'ct status dnat';
    case 'has-mark':
      return `mark and ${hex(statement.mark)} != 0`;
    case 'set-mark':
      return `mark set mark or ${hex(statement.mark)}`;
    case 'flip-mark':
      return `mark set mark xor ${hex(statement.mark)}`;
    case 'in-set':
      return `${printKey(statement.key, family)} ${statement.isNot === true ? '!= ' : ''}@${statement.set}`;
    case 'vmap':
      return `${printKey(statement.key, family)} vmap @${statement.map}`;
    case 'dnat':
      return `dnat to ${printKey(statement.key, family)} map @${statement.map}`;
    case 'protocol':
      return `meta l4proto ${statement.protocol}`;
    case 'set-priority':
      return `meta priority set ${printKey(statement.key, family)} map @${statement.map}`;
    case 'remember':
      return `update @${statement.map} { ${familyWord(family)} saddr timeout ${statement.seconds}s : meta priority }`;
    case 'forget':
      return `delete @${statement.map} { ${familyWord(family)} saddr : meta priority }`;
    case 'jump':
    case 'goto':
      return `${statement.kind} ${statement.chain}`;
    case 'masquerade':
      return 'masquerade fully-random';
    default:
      return statement.kind;
  }
}

function printKey(key: readonly Selector[], family: Family): string {
  return key.map((selector) => printSelector(selector, family)).join(' . ');
}

function printSelector(selector: Selector, family: Family): string {
  switch (selector.kind) {
    case 'source':
      return `${familyWord(family)} saddr`;
    case 'destination':
      return `${familyWord(family)} daddr`;
    case 'protocol':
      return 'meta l4proto';
    case 'port':
      return 'th dport';
    case 'priority':
      return 'meta priority';
    case 'numgen':
      return `numgen ${selector.mode} mod ${selector.modulus}`;
    case 'hash':
      return `jhash ${familyWord(family)} saddr mod ${selector.modulus} seed ${hex(selector.seed)}`;
  }
}

function hex(number: number): string {
  return `0x${number.toString(16)}`;
}
