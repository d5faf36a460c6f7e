import { node, service, slice } from './watching';
import { until } from '../../support/until';
import { addressesOf, fake, namesOf, requestsOf, stopAll, synced } from './opened';

afterEach(stopAll);

describe('what is wrong in a stream', () => {
  it('is told, where one object is malformed, and the rest goes on', async () => {
    const server = await fake();
    const watching = await synced(server);
    server.sendRaw('services', '{"type":"ADDED","object":{"kind":"Service","metadata":{"resourceVersion":"5000"}}}\n');
    server.put(slice('cart-1', '10.0.0.1', 'not-an-address'), service('cart', { ports: 'none' }), service('till'));
    await until(() => addressesOf(watching).length === 1 && namesOf(watching).includes('till'));
    expect(watching.warnings.map(({ object }) => object)).toEqual(
      expect.arrayContaining(['Service ?/?', 'EndpointSlice shop/cart-1']),
    );
    expect(server.requests).toHaveLength(3);
  });

  it('takes away an object that became unusable', async () => {
    const server = await fake();
    server.put(slice('cart-1', '10.0.0.1'));
    const watching = await synced(server);
    server.put({ ...slice('cart-1', '10.0.0.1'), addressType: 'IPX' });
    await until(() => addressesOf(watching).length === 0);
    expect(watching.warnings).toEqual([expect.objectContaining({ object: 'EndpointSlice shop/cart-1' })]);
  });

  it('ends it where a line is no JSON, and it is resumed', async () => {
    const server = await fake();
    const watching = await synced(server);
    server.sendRaw('services', 'Internal Server Error\n');
    await until(() => requestsOf(server, 'services', 'watch').length === 2 && server.watches() === 3);
    server.put(service('cart'));
    await until(() => namesOf(watching).length === 1);
  });

  it('does no harm where events come twice, late, or in another order', async () => {
    const server = await fake();
    const watching = await synced(server);
    const line = (type: string, version: number, address: string): string => {
      const { metadata, ...rest } = slice('cart-1', address);
      return `${JSON.stringify({ type, object: { ...rest, metadata: { ...metadata, resourceVersion: String(version) } } })}\n`;
    };
    server.sendRaw('endpointslices', line('ADDED', 5001, '10.0.0.1') + line('MODIFIED', 5003, '10.0.0.3'));
    server.sendRaw('endpointslices', line('MODIFIED', 5002, '10.0.0.2') + line('MODIFIED', 5003, '10.0.0.3'));
    server.put(service('mark-1'));
    await until(() => namesOf(watching).includes('mark-1') && addressesOf(watching).length > 0);
    expect(addressesOf(watching)).toEqual(['10.0.0.3']);
    expect(
      watching.batches.flat().filter((change) => change.op === 'set' && change.object.kind === 'EndpointSlice'),
    ).toHaveLength(2);
    server.sendRaw(
      'endpointslices',
      line('DELETED', 5005, '10.0.0.3') + line('MODIFIED', 5004, '10.0.0.4') + line('ADDED', 5006, '10.0.0.6'),
    );
    await until(() => addressesOf(watching).join() === '10.0.0.6');
  });

  it('is nothing where it is slow, cut inside lines and inside characters', async () => {
    const server = await fake();
    server.faults.slow = { bytes: 37, everyMs: 0 };
    server.put(service('cart', { note: 'é漢🛰'.repeat(40) }), slice('cart-1', '10.0.0.1'), node);
    const watching = await synced(server);
    expect(namesOf(watching)).toEqual(['cart']);
    expect(addressesOf(watching)).toEqual(['10.0.0.1']);
  });

  it('is nothing where an object has megabytes', async () => {
    const server = await fake();
    const watching = await synced(server);
    server.put(service('cart', { note: 'x'.repeat(4 << 20) }));
    await until(() => namesOf(watching).length === 1);
  });
});
