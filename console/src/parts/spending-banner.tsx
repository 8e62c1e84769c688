/** On every page while paid calls are stopped: nobody must look for why the cloud is silent. */
export function SpendingBanner() {
  return (
    <div className="off-banner" role="alert">
      <p>
        <strong>All paid calls are stopped.</strong> NPCs speak with local engines and written lines.{' '}
        <a href="#/service">See Service</a>
      </p>
    </div>
  );
}
