// Has c2pa-ts sign a PNG or JPEG: node sign.mjs SOURCE TARGET KEY.pem CHAIN.pem 1|2
// The last argument is the version of the claim.
import { readFile, writeFile } from 'node:fs/promises';
import { webcrypto } from 'node:crypto';

globalThis.crypto ??= webcrypto; // Node 18 has it under this name only
const { JPEG, PNG } = await import('@trustnxt/c2pa-ts/asset');
const { LocalSigner } = await import('@trustnxt/c2pa-ts/cose');
const { ActionAssertion, ActionType, ClaimVersion, DataHashAssertion, DigitalSourceType, ManifestStore } = await import(
    '@trustnxt/c2pa-ts/manifest'
);
const { X509Certificate } = await import('@peculiar/x509');

const [source, target, keyFile, chainFile, version] = process.argv.slice(2);
const key = Buffer.from((await readFile(keyFile, 'utf8')).replace(/-----[^-]+-----|\s/g, ''), 'base64');
const blocks = (await readFile(chainFile, 'utf8')).match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g);
const chain = blocks.map(block => new X509Certificate(block));
const algorithm = chain[0].publicKey.algorithm.name === 'ECDSA' ? -7 : -8;
const signer = new LocalSigner(key, algorithm, chain[0], chain.slice(1));

const data = await readFile(source);
const asset = PNG.canRead(data) ? new PNG(data) : new JPEG(data);
const store = new ManifestStore();
const manifest = store.createManifest({
    claimVersion: version === '1' ? ClaimVersion.V1 : ClaimVersion.V2,
    assetFormat: asset.mimeType,
    instanceID: 'xmp:iid:example',
    defaultHashAlgorithm: 'SHA-256',
    signer,
});
const binding = DataHashAssertion.create('SHA-256');
const actions = new ActionAssertion();
actions.actions.push({ action: ActionType.C2paCreated, digitalSourceType: DigitalSourceType.MinorHumanEdits });
manifest.addAssertion(binding);
manifest.addAssertion(actions);
await asset.ensureManifestSpace(store.measureSize());
await binding.updateWithAsset(asset);
await manifest.sign(signer);
await asset.writeManifestJUMBF(store.getBytes());
await writeFile(target, await asset.getDataRange());
