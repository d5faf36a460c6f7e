import { join } from 'node:path';
import { transactionLimits } from '../../src/host/nf-transaction';
import { describeAsRoot, runInNetworkNamespace } from '../support/network-namespace';

describeAsRoot('transactions of nf_tables', () => {
  let told: Record<string, unknown>;
  beforeAll(async () => {
    told = (await runInNetworkNamespace(join(__dirname, 'nft-transactions.guest.ts'))) as typeof told;
  });

  test('in the largest one every message fails: each is named, nothing takes effect, and the process goes on', () => {
    const refused = (count: number): unknown => ['ENOENT', Array.from({ length: count }, (_, i) => [i, 'ENOENT'])];
    const { largest } = told;
    expect(largest).toBeGreaterThan(10);
    expect(told['large']).toEqual(refused(Number(largest)));
    expect(told['ruleCount']).toBeGreaterThan(100);
    expect(told['ruleBytes']).toBe(668);
    expect(told['rules']).toEqual(refused(Number(told['ruleCount'])));
    expect(told['many']).toEqual(refused(transactionLimits.messages));
    expect(told['isUntouched']).toBe(true);
  });

  test('one message that fails undoes the others', () => {
    expect(told['amid']).toEqual(['ENOENT', [[1, 'ENOENT']]]);
    expect(told['used']).toEqual(['EBUSY', [[1, 'EBUSY']]]);
  });

  test('the socket serves on after refusals, until it is closed', () => {
    expect(told['after']).toBe('done');
    expect(told['tooMany']).toMatch(/^RangeError: 384 messages are no one transaction/);
    expect(told['closed']).toMatch(/ECANCELED/);
  });
});
