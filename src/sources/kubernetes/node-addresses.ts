/** Lists the addresses of all Nodes, which must not be taken for VIPs. Nothing else of the Nodes is kept. */
import { parseAddress } from '../../model/address';
import type { ApiClient } from './api-client';
import { fieldsOf, listOf, textOf } from './decode-fields';
import { ListSplitter } from './list-splitter';
import { listQuery } from './queries';

const path = '/api/v1/nodes';
const pageSize = 500;
/** Enough for 50,000 nodes. A list without an end is refused. */
const mostPages = 100;
const silenceMs = 30_000;
/** Limit of the whole time, also when an answer comes byte by byte. */
const mostMs = 60_000;

/**
 * Returns the name of the Node by canonical address, for addresses of every type. Reads from the API server's cache, page by page if the
 * server pages. Throws like ApiClient.get, and when an answer is not a list.
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
    if (kind !== 'NodeList') throw new Error(`GET ${path} was answered with something that is not a list of Nodes`);
    token = textOf(fieldsOf(metadata).continue);
    if (token === '') return found;
  }
  throw new Error(`GET ${path} has more than ${mostPages} pages`);
}

function addAddresses(node: unknown, found: Map<string, string>): void {
  const { metadata, status } = fieldsOf(node);
  const name = textOf(fieldsOf(metadata).name);
  for (const each of listOf(fieldsOf(status).addresses)) {
    // The list also has host names, which are not addresses.
    const address = parseAddress(textOf(fieldsOf(each).address));
    if (address !== undefined) found.set(address, name);
  }
}
