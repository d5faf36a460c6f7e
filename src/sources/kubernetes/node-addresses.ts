/** The addresses of all Nodes, listed once: for what must not be taken for a VIP. Nothing else of the Nodes is kept. */
import { parseAddress } from '../../model/address';
import type { ApiClient } from './api-client';
import { fieldsOf, listOf, textOf } from './decode-fields';
import { ListSplitter } from './list-splitter';
import { listQuery } from './queries';

const path = '/api/v1/nodes';
const pageSize = 500;
/** Of a cluster of 50,000 nodes: an answer that never ends is none. */
const mostPages = 100;
const silenceMs = 30_000;
/** Also of one that comes byte by byte. */
const mostMs = 60_000;

/**
 * By address, canonical: the Node that has it, whatever its type. From the API server's cache, and by pages where it pages. Throws as
 * ApiClient.get does, and where an answer is no list.
 */
export async function listNodeAddresses(client: ApiClient, signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  const limited = AbortSignal.any([signal, AbortSignal.timeout(mostMs)]);
  let token = '';
  for (let page = 0; page < mostPages; page++) {
    const splitter = new ListSplitter((text) => addAddresses(JSON.parse(text), found));
    const response = await client.get(path, listQuery({}, token === '' ? '0' : '', token, pageSize), limited);
    await response.read((chunk) => splitter.push(chunk), silenceMs);
    const { kind, metadata } = fieldsOf(splitter.end());
    if (kind !== 'NodeList') throw new Error(`GET ${path} was answered by no list of Nodes`);
    token = textOf(fieldsOf(metadata).continue);
    if (token === '') return found;
  }
  throw new Error(`GET ${path} has more than ${mostPages} pages`);
}

function addAddresses(node: unknown, found: Map<string, string>): void {
  const { metadata, status } = fieldsOf(node);
  const name = textOf(fieldsOf(metadata).name);
  for (const each of listOf(fieldsOf(status).addresses)) {
    // Host names are no addresses.
    const address = parseAddress(textOf(fieldsOf(each).address));
    if (address !== undefined) found.set(address, name);
  }
}
